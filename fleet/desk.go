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

// The intervals and limits of a client.
const (
	firstTry     = time.Second            // from publishing a job until it is published again for lack of an answer
	longestTry   = 10 * time.Second       // firstTry doubles up to this limit
	firstLook    = 5 * time.Second        // from publishing a call until its result is looked for in the store
	laterLooks   = 30 * time.Second       // between later looks
	afterReturn  = 2 * time.Second        // between the two looks after the server's return
	sweepsEvery  = 250 * time.Millisecond // between sweeps
	longestLeave = 10 * time.Second       // how long a job is followed after its caller has left
)

// desk is the untyped part of a Client. It has a posting for each job that is being
// stored, and for each call that waits for its result. Two subscriptions and one
// goroutine serve all postings. nats.go calls takeResult and takeAnswer, each for one
// message after the other, with the results of workers and the answers of the server.
// The goroutine of watch finds the postings that are due without an answer.
type desk struct {
	nc    *nats.Conn
	names subjects
	id    string // results arrive on names.reply(id, token)
	inbox string // the server's answers arrive on inbox.about.key

	results, answers *nats.Subscription

	mu       sync.Mutex
	postings map[string]*posting // by key
	keys     uint64              // number of keys made for sent jobs
	closed   bool

	quit chan struct{} // closed by close
	over chan struct{} // closed by watch when it has returned
}

// posting is a job under way. The fields of the second group are guarded by desk.mu.
type posting struct {
	key   string // part of the answers' subjects: the token of a call, or a number
	token string
	msg   *nats.Msg // the message that is published, and published again
	waits bool      // true: for the result; false: only for the storing
	done  chan reply

	stored    bool
	seq       uint64 // in the stream, once the job is stored
	tries     int
	due       time.Time // when the job is published again, if it is not stored by then
	look      time.Time // when the result is looked for
	lookAfter time.Duration
	left      time.Time // when the caller left, if it was not known then whether the job is stored
}

// reply is how a posting ends.
type reply struct {
	msg   *nats.Msg // the result, or nil
	taken bool      // the server knew the job's id and stored nothing
	err   error
}

// refusal is the server's answer that it did not store a job.
type refusal struct {
	cause  error // for errors.Is; nil if it is no known error
	text   string
	exists bool // a job with that id exists
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return fmt.Sprintf("%v: %s", r.cause, r.text)
	}
	return "the job was refused: " + r.text
}

func (r *refusal) Unwrap() error { return r.cause }

// The last but one part of an answer's subject says what the answer is about.
const (
	aboutJob    = "p" // the storing of a job
	aboutResult = "g" // a result that was looked for
	aboutStream = "i" // whether the stream of jobs exists
	aboutNought = "d" // the answer is ignored
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
	// Requests bound the number of messages that arrive, so nats.go needs no limit of
	// its own, at which it would drop some.
	_ = d.results.SetPendingLimits(-1, -1)
	_ = d.answers.SetPendingLimits(-1, -1)
	go d.watch(nc.StatusChanged(nats.CONNECTED, nats.CLOSED))
	return d, nil
}

// post has the job published until the server answers. It returns when a called job has
// its result, or when a sent job is stored. When ctx is done it returns the cause at
// once; a called job is then withdrawn in the background.
func (d *desk) post(ctx context.Context, p *posting) (reply, error) {
	p.done = make(chan reply, 1)
	if err := d.enter(p); err != nil {
		return reply{}, err
	}
	if d.nc.IsConnected() { // or else watch publishes it when the server is back
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

// publish sends the job to the server. An error that it returns is final. It ignores
// errors that may pass, because the job is published again.
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

// leave is called by a caller that leaves before its posting has ended. A called job is
// withdrawn. If it is not known yet whether the job is stored, the posting is kept until
// it is known.
func (d *desk) leave(p *posting) {
	d.mu.Lock()
	withdraw := d.abandon(p)
	d.mu.Unlock()
	if withdraw {
		d.withdraw(p)
	}
}

// abandon does the part of leave that needs the mutex, which is held. It reports
// whether p must be withdrawn.
func (d *desk) abandon(p *posting) bool {
	if d.postings[p.key] != p { // p has ended
		return false
	}
	if p.waits && !p.stored {
		p.left = time.Now()
		return true
	}
	delete(d.postings, p.key)
	return p.waits
}

// withdraw publishes a cancel for the worker that may run the job, and deletes the job
// if it is known to be stored.
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

// request sends the server a request whose answer goes to takeAnswer. It ignores an
// error, which only means that there is no answer: that must be expected anyway.
func (d *desk) request(about, key, subject, body string) {
	_ = d.nc.PublishRequest(subject, d.inbox+"."+about+"."+key, []byte(body))
}

// finish ends the posting with that key, if it exists, and sends r to its caller
// unless the caller has left.
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
		p.done <- r // does not block: only the goroutine that took p out of the map sends, once
	}
}

// takeResult is called by nats.go with each result from a worker for this client. It
// also confirms a result that arrives twice, because the worker waits for that.
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
		// Either the stream has no leader at the moment, or it does not exist.
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

// takeStored handles the server's answer to the storing of a job.
func (d *desk) takeStored(key string, data []byte) {
	var ack struct {
		Error     *codedError `json:"error"`
		Seq       uint64      `json:"seq"`
		Duplicate bool        `json:"duplicate"`
	}
	if json.Unmarshal(data, &ack) != nil {
		return // may be temporary, as below
	}
	if err := ack.Error; err != nil {
		switch r := refused(err); {
		case r != nil:
			d.finish(key, reply{err: r})
		case err.Code == codeBusyID, err.Code == codeBusySubject:
			d.hasten(key)
		}
		return // may be temporary: the job is published again when it is due
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

// close ends all postings with ErrClosed, and otherwise treats them as if their callers
// had left.
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
