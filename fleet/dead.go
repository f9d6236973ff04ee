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
	Attempts int    // how often it was begun
	Worker   string // that gave it up
	At       time.Time
	Data     []byte // the input, as it came
}

// deadHeader returns the headers of a job's dead letter: its own, less what was
// meant for the server and for its caller, and why it is dead.
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

// Dead returns the dead letters, oldest first. It asks the server for each as the
// loop comes to it; those that come up meanwhile are among them. An error is the
// last that it yields: the server's, or the cause of ctx when that is done.
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

// deadOf reads a dead letter. Headers come from outside: what is missing or
// malformed is left out.
func deadOf(s stored) Dead {
	d := Dead{ID: s.header.Get(headID), Reason: s.header.Get(headReason), Worker: s.header.Get(headWorker), At: s.at, Data: s.data}
	d.Attempts, _ = strconv.Atoi(s.header.Get(headAttempt))
	token := s.subject[strings.LastIndexByte(s.subject, '.')+1:]
	if tokenOf(d.ID) != token {
		d.ID = token // of a job without an id of its own
	}
	return d
}

// Requeue makes a dead letter a sent job again, of the same id and with all its
// attempts before it, and forgets its outcome. It returns [ErrNotFound] if there
// is no such letter, and the cause of ctx when that is done. Where a job of that
// id waits or runs already, the letter is dropped. Calling it again after an error
// does no harm.
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
	// In this order: a job whose outcome is stored is not begun, and a letter whose
	// job is stored can be requeued once more.
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
// left the queue: its worker is about to acknowledge it. Until then it would be
// taken for the requeued one, which would be lost.
func awaitLeave(ctx context.Context, nc *nats.Conn, names subjects, token string, died time.Time) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, err := last(ctx, nc, names.results(), names.result(token))
		if errors.Is(err, errNone) {
			return nil // it has no outcome: it may run again, and then it is the one
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
