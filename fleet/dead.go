package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Dead is a job that was given up.
type Dead struct {
	ID       string
	Reason   string // why, in one line
	Attempts int    // how often it was started
	Worker   string // the worker that gave it up
	At       time.Time
	Data     []byte // the encoded input, as it arrived
}

// deadHeader returns the headers of a job's dead letter: those of the job, without
// the ones that were for the server and the caller, and those that say why it is dead.
func deadHeader(d *delivery, reason, worker string) nats.Header {
	h := nats.Header{}
	for key, values := range d.msg.Header {
		if !strings.HasPrefix(key, "Nats-") && key != headReply && key != headBudget {
			h[key] = values
		}
	}
	h[headReason] = []string{headerText(reason, 512)}
	h[headAttempt] = []string{strconv.Itoa(d.attempt)}
	h[headWorker] = []string{worker}
	return h
}

// Dead returns the dead letters, oldest first. It requests each one from the server
// when the loop gets there, so it also yields letters that arrive during the loop.
// After an error it yields nothing more. The error is the server's, or the cause of
// ctx when ctx is done.
func (k Kind[In, Out]) Dead(ctx context.Context, nc *nats.Conn) iter.Seq2[Dead, error] {
	return func(yield func(Dead, error) bool) {
		if err := k.checkWith(nc); err != nil {
			yield(Dead{}, err)
			return
		}
		names := k.subjects()
		for from := uint64(1); ; {
			s, err := ask(ctx, nc, "$JS.API.STREAM.MSG.GET."+names.graves(), nextRequest(names.dead("*"), from), parseStored)
			if errors.Is(err, errNone) {
				return
			}
			if err != nil {
				yield(Dead{}, operatorError(names, err))
				return
			}
			if !yield(deadOf(s), nil) {
				return
			}
			from = s.seq + 1
		}
	}
}

func (k Kind[In, Out]) checkWith(nc *nats.Conn) error {
	if nc == nil {
		return errors.New("fleet: the connection is nil")
	}
	return k.check()
}

func operatorError(names subjects, err error) error {
	if coded, ok := errors.AsType[*codedError](err); ok && coded.Code == codeNoStream {
		return unprovisioned(names, err)
	}
	return fmt.Errorf("fleet: kind %s: %w", string(names), err)
}

// deadOf reads a dead letter. Its headers come from outside: a missing or malformed
// one leaves its field empty.
func deadOf(s stored) Dead {
	d := Dead{ID: s.header.Get(headID), Reason: s.header.Get(headReason), Worker: s.header.Get(headWorker), At: s.at, Data: s.data}
	d.Attempts, _ = strconv.Atoi(s.header.Get(headAttempt))
	token := s.subject[strings.LastIndexByte(s.subject, '.')+1:]
	if tokenOf(d.ID) != token {
		d.ID = token // the job came without a valid id
	}
	return d
}

// Requeue turns a dead letter into a sent job again, with the same id, no outcome and
// a fresh count of attempts. If a job with that id already waits or runs, Requeue just
// drops the letter. It returns [ErrNotFound] if there is no such letter, and the
// cause of ctx when ctx is done. It is safe to call Requeue again after an error.
func (k Kind[In, Out]) Requeue(ctx context.Context, nc *nats.Conn, id string) error {
	if err := k.checkWith(nc); err != nil {
		return err
	}
	names, token := k.subjects(), tokenOf(id)
	letter, err := last(ctx, nc, names.graves(), names.dead(token))
	if errors.Is(err, errNone) {
		return ErrNotFound
	}
	if err != nil {
		return operatorError(names, err)
	}
	if err := awaitLeave(ctx, nc, names, token, letter.at); err != nil {
		return operatorError(names, err)
	}
	// The order matters. The outcome goes first, because workers do not start a job
	// whose outcome is stored. The letter goes last, because as long as it exists
	// Requeue can be repeated.
	for _, subject := range []string{names.result(token), names.back(token, "*")} {
		if err := purge(ctx, nc, names.results(), subject); err != nil {
			return operatorError(names, err)
		}
	}
	h := passengers(letter.header)
	h[headExpected] = []string{"0"}
	for _, key := range []string{headVersion, headID, headContentType} {
		if values, ok := letter.header[key]; ok {
			h[key] = values
		}
	}
	job := &nats.Msg{Subject: names.job(token), Header: h, Data: letter.data}
	if err := putJob(ctx, nc, job); err != nil {
		return operatorError(names, err)
	}
	if err := erase(ctx, nc, names.graves(), letter.seq); err != nil {
		return operatorError(names, err)
	}
	return nil
}

// awaitLeave waits until a job that became a dead letter, and has its outcome, has
// left the queue: its worker is about to acknowledge it. If Requeue did not wait, the
// server would take the old job for the requeued one, which would be lost.
func awaitLeave(ctx context.Context, nc *nats.Conn, names subjects, token string, died time.Time) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, err := last(ctx, nc, names.results(), names.result(token))
		if errors.Is(err, errNone) {
			return nil // without an outcome the job in the queue may run again, and then counts as the requeued one
		}
		if err != nil {
			return err
		}
		job, err := last(ctx, nc, names.jobs(), names.job(token))
		if errors.Is(err, errNone) || err == nil && job.at.After(died) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
