package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/dispatch"
	"github.com/nats-io/nats.go"
)

// How long a client waits for things.
const (
	firstTry     = time.Second      // for the server's answer to a job, before it is published again
	longestTry   = 10 * time.Second // that time doubles up to this one
	firstLook    = 5 * time.Second  // for a result, before it is looked for in the store
	laterLooks   = 30 * time.Second
	afterReturn  = 2 * time.Second        // between the two looks after the server's return
	sweepsEvery  = 250 * time.Millisecond // between looks at what is due
	longestLeave = 10 * time.Second       // how long a job that its caller has left is followed
)

// desk is the untyped part of a Client. Each job that is to be stored, or whose
// result is waited for, is a posting here. Two subscriptions and one goroutine
// serve all of them: answers of the server and of workers come in on callbacks,
// which nats.go calls one after the other, and what is due without an answer is
// found by the goroutine of watch.
type desk struct {
	nc    *nats.Conn
	names subjects
	id    string // where results come: names.reply(id, token)
	inbox string // where the server's answers come: inbox.what.key

	results, answers *nats.Subscription

	mu       sync.Mutex
	postings map[string]*posting // by key
	keys     uint64              // made so far for jobs that nobody waits for
	closed   bool

	quit chan struct{} // closed by close
	over chan struct{} // closed by watch when it has returned
}

// posting is a job under way. All but the first group is guarded by desk.mu.
type posting struct {
	key   string // in the answers' subject: the token of a call, a number otherwise
	token string
	msg   *nats.Msg // as it is published, again and again
	waits bool      // for the result, and not only for the storing
	done  chan reply

	stored    bool
	seq       uint64 // in the stream, once it is stored
	tries     int
	due       time.Time // when it is published again, while not stored
	look      time.Time // when its result is looked for
	lookAfter time.Duration
	left      time.Time // when its caller left, while it is not known whether it is stored
}

// reply is how a posting ends.
type reply struct {
	msg   *nats.Msg // the result, or nil
	taken bool      // nothing new was stored
	err   error
}

// refusal is the server's word that a job was not stored.
type refusal struct {
	cause  error // what it is to errors.Is; nil: nothing known
	text   string
	exists bool // there is a job of that id
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return fmt.Sprintf("%v: %s", r.cause, r.text)
	}
	return "the job was refused: " + r.text
}

func (r *refusal) Unwrap() error { return r.cause }

// What the server's answers are about: the second last part of their subject.
const (
	aboutJob    = "p" // the storing of a job
	aboutResult = "g" // a result that was looked for
	aboutStream = "i" // whether there is a stream for jobs
	aboutNought = "d" // nothing that is asked for
)

func newDesk(nc *nats.Conn, names subjects) (*desk, error) {
	d := &desk{
		nc: nc, names: names, id: rand.Text(), inbox: nc.NewInbox(),
		postings: make(map[string]*posting),
		quit:     make(chan struct{}), over: make(chan struct{}),
	}
	var err error
	if d.results, err = nc.Subscribe(names.reply(d.id, "*"), d.takeResult); err != nil {
		return nil, err
	}
	if d.answers, err = nc.Subscribe(d.inbox+".*.*", d.takeAnswer); err != nil {
		_ = d.results.Unsubscribe()
		return nil, err
	}
	// What comes is bounded by what was asked for: nats.go need not drop any.
	_ = d.results.SetPendingLimits(-1, -1)
	_ = d.answers.SetPendingLimits(-1, -1)
	go d.watch(nc.StatusChanged(nats.CONNECTED, nats.CLOSED))
	return d, nil
}

// post publishes the job until the server answers, and returns its result, or for
// one that nobody waits for that it is stored. When ctx is done it returns the
// cause at once; the job is then withdrawn in the background, if it is a call.
func (d *desk) post(ctx context.Context, p *posting) (reply, error) {
	p.done = make(chan reply, 1)
	if err := d.enter(p); err != nil {
		return reply{}, err
	}
	if d.nc.IsConnected() { // else watch does it, on the server's return
		if err := d.publish(p); err != nil {
			d.forget(p)
			return reply{}, err
		}
	}
	select {
	case r := <-p.done:
		return r, r.err
	case <-ctx.Done():
		d.leave(p)
		return reply{}, context.Cause(ctx)
	}
}

func (d *desk) enter(p *posting) error {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return dispatch.ErrClosed
	}
	if p.key == "" {
		d.keys++
		p.key = strconv.FormatUint(d.keys, 10)
	}
	p.msg.Reply = d.inbox + "." + aboutJob + "." + p.key
	p.due = now.Add(firstTry)
	p.lookAfter = firstLook
	p.look = now.Add(p.lookAfter)
	p.tries = 1
	d.postings[p.key] = p
	return nil
}

// publish sends the job to the server. Its error is final; what may pass is left
// to the next try.
func (d *desk) publish(p *posting) error {
	switch err := d.nc.PublishMsg(p.msg); {
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return err
	}
	return nil
}

// forget drops a posting whose job has never been published.
func (d *desk) forget(p *posting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.postings, p.key)
}

// leave is called by a caller that goes before its posting has ended. A called
// job that is stored is withdrawn; one of which that is not known yet is followed
// until it is.
func (d *desk) leave(p *posting) {
	d.mu.Lock()
	withdraw := d.abandon(p)
	d.mu.Unlock()
	if withdraw {
		d.withdraw(p)
	}
}

// abandon is leave with the mutex held. It tells whether p is to be withdrawn.
func (d *desk) abandon(p *posting) bool {
	if d.postings[p.key] != p { // it has ended
		return false
	}
	if p.waits && !p.stored {
		p.left = time.Now()
		return true
	}
	delete(d.postings, p.key)
	return p.waits
}

// withdraw tells whoever runs the job, and deletes it if it is known to be stored.
func (d *desk) withdraw(p *posting) {
	d.mu.Lock()
	seq := p.seq
	d.mu.Unlock()
	if seq != 0 {
		d.request(aboutNought, p.key, "$JS.API.STREAM.MSG.DELETE."+d.names.jobs(), deleteRequest(seq))
	}
	_ = d.nc.Publish(d.names.cancel(p.token), nil)
}

func deleteRequest(seq uint64) string {
	return `{"seq":` + strconv.FormatUint(seq, 10) + `,"no_erase":true}`
}

// request asks the server something whose answer comes to takeAnswer. An error
// means that there will be none, which is not rare anyway.
func (d *desk) request(about, key, subject, body string) {
	_ = d.nc.PublishRequest(subject, d.inbox+"."+about+"."+key, []byte(body))
}

// finish ends the posting of that key, if there still is one that waits, and
// withdraws the job of one that nobody waits for any more.
func (d *desk) finish(key string, r reply) {
	d.mu.Lock()
	p := d.postings[key]
	if p == nil {
		d.mu.Unlock()
		return
	}
	delete(d.postings, key)
	left := !p.left.IsZero()
	d.mu.Unlock()
	if !left {
		p.done <- r // there is room: who has taken p out of the map sends, once
	}
}

// takeResult is called by nats.go with each result that a worker has for this
// client. The worker waits for the confirmation, also of one that comes twice.
func (d *desk) takeResult(m *nats.Msg) {
	if m.Reply != "" {
		_ = d.nc.Publish(m.Reply, nil)
	}
	d.finish(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], reply{msg: m})
}

// takeAnswer is called by nats.go with each answer of the server.
func (d *desk) takeAnswer(m *nats.Msg) {
	rest := strings.TrimPrefix(m.Subject, d.inbox+".")
	about, key, _ := strings.Cut(rest, ".")
	silent := len(m.Data) == 0 && m.Header.Get("Status") == "503"
	switch {
	case silent && about == aboutJob:
		// Either the stream has no leader at the moment, or there is no stream.
		d.request(aboutStream, key, "$JS.API.STREAM.INFO."+d.names.jobs(), "")
	case silent:
	case about == aboutJob:
		d.takeStored(key, m.Data)
	case about == aboutStream:
		if err := apiError(m.Data); err != nil && err.Code == codeNoStream {
			d.finish(key, reply{err: unprovisioned(d.names, err)})
		}
	case about == aboutResult:
		if s, err := parseStored(m.Data); err == nil {
			d.finish(key, reply{msg: &nats.Msg{Subject: s.subject, Header: s.header, Data: s.data}})
		}
	}
}

// takeStored handles the server's answer to a job.
func (d *desk) takeStored(key string, data []byte) {
	var ack struct {
		Error     *codedError `json:"error"`
		Seq       uint64      `json:"seq"`
		Duplicate bool        `json:"duplicate"`
	}
	if json.Unmarshal(data, &ack) != nil {
		return // it may pass, as below
	}
	if err := ack.Error; err != nil {
		switch r := refused(err); {
		case r != nil:
			d.finish(key, reply{err: r})
		case err.Code == codeBusyID, err.Code == codeBusySubject:
			d.hasten(key)
		}
		return // it may pass: the job is published again when it is due
	}
	if ack.Seq == 0 {
		return
	}
	d.mu.Lock()
	p := d.postings[key]
	if p == nil {
		d.mu.Unlock()
		return
	}
	p.stored, p.seq = true, ack.Seq
	left := !p.left.IsZero()
	if left {
		delete(d.postings, key)
	}
	d.mu.Unlock()
	switch {
	case left:
		d.withdraw(p)
	case !p.waits:
		d.finish(key, reply{taken: ack.Duplicate})
	}
}

// hasten has the posting published again by the next sweep.
func (d *desk) hasten(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.postings[key]; p != nil {
		p.due = time.Now()
	}
}

// fail ends all postings with err.
func (d *desk) fail(err error) {
	d.mu.Lock()
	all := d.postings
	d.postings = make(map[string]*posting)
	d.mu.Unlock()
	for _, p := range all {
		if p.left.IsZero() {
			p.done <- reply{err: err}
		}
	}
}

// close ends all postings with ErrClosed, as their callers' leaving would.
func (d *desk) close() {
	d.mu.Lock()
	first := !d.closed
	d.closed = true
	var withdraw []*posting
	for _, p := range d.postings {
		if !p.left.IsZero() {
			continue
		}
		if d.abandon(p) {
			withdraw = append(withdraw, p)
		}
		p.done <- reply{err: dispatch.ErrClosed}
	}
	empty := len(d.postings) == 0
	d.mu.Unlock()
	for _, p := range withdraw {
		d.withdraw(p)
	}
	if first {
		_ = d.results.Unsubscribe()
		close(d.quit)
	}
	if empty {
		<-d.over
	}
}
