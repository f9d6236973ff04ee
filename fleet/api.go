package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/dispatch"
	"github.com/nats-io/nats.go"
)

// The error codes of JetStream that mean something here.
const (
	codeNoMessage     = 10037
	codeNoSequence    = 10043
	codeNoLeader      = 10008 // the servers that keep a stream have yet to agree on one
	codeDelete        = 10057 // a message could not be deleted; the text tells why
	codeNoStream      = 10059
	codeNoRoomServer  = 10023 // the store of the server is full
	codeNoRoomAccount = 10047 // the store of the account is full
	codeStore         = 10077 // the stream has its most messages or bytes, or the store fails; the text tells
	codeTooLong       = 10054 // for the stream
	codeTaken         = 10071 // the subject has a message
	codeBusyID        = 10158 // servers with replicas are about to store a message of that id ...
	codeBusySubject   = 10164 // ... or on that subject, and may not come to it: their leader may die
)

// codedError is the error in an answer of JetStream.
type codedError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"` //nolint:tagliatelle // the server's name
	Description string `json:"description"`
}

func (e *codedError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

// apiError returns the error in an answer, or nil.
func apiError(data []byte) *codedError {
	var answer struct {
		Error *codedError `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return &codedError{Status: 500, Description: "malformed answer of the server"}
	}
	return answer.Error
}

// refused returns what an answer to a job means that will not change by itself
// in a moment, and nil for one that may.
func refused(e *codedError) *refusal {
	switch e.Code {
	case codeTaken:
		return &refusal{text: "there is a job of this id", exists: true}
	case codeNoRoomServer, codeNoRoomAccount:
		return &refusal{cause: dispatch.ErrQueueFull, text: e.Error()}
	case codeStore:
		if strings.HasPrefix(e.Description, "maximum messages") || strings.HasPrefix(e.Description, "maximum bytes") {
			return &refusal{cause: dispatch.ErrQueueFull, text: e.Error()}
		}
	case codeTooLong:
		return &refusal{cause: ErrTooLarge, text: e.Error()}
	case codeBusyID, codeBusySubject:
		return nil
	}
	if e.Status < 500 {
		return &refusal{text: e.Error()}
	}
	return nil
}

// stored is a message that the server keeps.
type stored struct {
	subject string
	seq     uint64
	at      time.Time
	header  nats.Header
	data    []byte
}

// errNone is what a look for a message gives when there is none.
var errNone = errors.New("fleet: no such message")

// parseStored reads the answer to a look for a message.
func parseStored(answer []byte) (stored, error) {
	var a struct {
		Error   *codedError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(answer, &a); {
	case err != nil:
		return stored{}, fmt.Errorf("malformed answer of the server: %w", err)
	case a.Error != nil && a.Error.Code == codeNoMessage:
		return stored{}, errNone
	case a.Error != nil:
		return stored{}, a.Error
	case a.Message == nil:
		return stored{}, errors.New("malformed answer of the server: no message")
	}
	s := stored{subject: a.Message.Subject, seq: a.Message.Seq, at: a.Message.Time, data: a.Message.Data}
	if len(a.Message.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(a.Message.Header)
		if err != nil {
			return stored{}, fmt.Errorf("malformed headers: %w", err)
		}
		s.header = h
	}
	return s, nil
}

func lastRequest(subject string) string { return `{"last_by_subj":` + strconv.Quote(subject) + `}` }

func nextRequest(subject string, from uint64) string {
	return `{"next_by_subj":` + strconv.Quote(subject) + `,"seq":` + strconv.FormatUint(from, 10) + `}`
}

// ask asks the server until it answers or ctx is done, and returns what read makes
// of the answer. It asks the leader of the stream: what a follower knows may be
// old. While there is none, the server is silent or says so, and is asked again.
func ask[T any](ctx context.Context, nc *nats.Conn, subject, body string, read func([]byte) (T, error)) (T, error) {
	var none T
	for try := firstTry; ; try = min(2*try, longestTry) {
		limited, cancel := context.WithTimeout(ctx, try)
		m, err := nc.RequestWithContext(limited, subject, []byte(body))
		cancel()
		switch {
		case err == nil:
			v, err := read(m.Data)
			if coded, ok := errors.AsType[*codedError](err); !ok || coded.Code != codeNoLeader {
				return v, err
			}
		case ctx.Err() != nil:
			return none, context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders),
			errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrReconnectBufExceeded):
		default:
			return none, fmt.Errorf("fleet: %w", err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return none, context.Cause(ctx)
		}
	}
}

// command asks the server for something that has no answer but its success.
func command(ctx context.Context, nc *nats.Conn, subject, body string) error {
	_, err := ask(ctx, nc, subject, body, func(answer []byte) (struct{}, error) {
		if err := apiError(answer); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, nil
	})
	return err
}

// last returns the last message of a subject, or errNone.
func last(ctx context.Context, nc *nats.Conn, stream, subject string) (stored, error) {
	return ask(ctx, nc, "$JS.API.STREAM.MSG.GET."+stream, lastRequest(subject), parseStored)
}

// erase deletes a message. It is no error if there is none.
func erase(ctx context.Context, nc *nats.Conn, stream string, seq uint64) error {
	err := command(ctx, nc, "$JS.API.STREAM.MSG.DELETE."+stream, deleteRequest(seq))
	coded, ok := errors.AsType[*codedError](err)
	switch {
	case !ok:
		return err
	case coded.isGone(): // it has been acknowledged meanwhile
		return nil
	}
	return fmt.Errorf("fleet: %w", err)
}

// isGone tells whether a message could not be deleted because there is none.
func (e *codedError) isGone() bool {
	switch e.Code {
	case codeNoMessage, codeNoSequence:
		return true
	case codeDelete:
		return e.Description == "no message found" || e.Description == "deleted message" || e.Description == "stream store EOF"
	}
	return false
}

// put has the server store a message, and returns its error. One try; the error
// may be a *codedError.
func put(ctx context.Context, nc *nats.Conn, m *nats.Msg) error {
	answer, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return err
	}
	if err := apiError(answer.Data); err != nil {
		return err
	}
	return nil
}

// outcomeMsg is an outcome to be stored, unless there is one. That is what makes
// the first outcome the only one.
func outcomeMsg(subject string, o outcome) *nats.Msg {
	h := o.header()
	h[headExpected] = []string{"0"}
	return &nats.Msg{Subject: subject, Header: h, Data: o.body}
}

// isTaken tells whether a subject had a message already, and not only one that is
// under way.
func isTaken(err error) bool {
	coded, ok := errors.AsType[*codedError](err)
	return ok && coded.Code == codeTaken
}

// putFirst stores an outcome if there is none, and tells whether that was so. It
// tries until ctx is done.
func putFirst(ctx context.Context, nc *nats.Conn, subject string, o outcome) (first bool, err error) {
	for try := firstTry; ; try = min(2*try, longestTry) {
		limited, cancel := context.WithTimeout(ctx, try)
		err := put(limited, nc, outcomeMsg(subject, o))
		cancel()
		switch {
		case err == nil:
			return true, nil
		case isTaken(err):
			return false, nil
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case errors.Is(err, nats.ErrConnectionClosed):
			return false, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// putJob stores a job unless there is one on its subject. It tries until ctx is
// done, or the server refuses.
func putJob(ctx context.Context, nc *nats.Conn, m *nats.Msg) error {
	for try := firstTry; ; try = min(2*try, longestTry) {
		limited, cancel := context.WithTimeout(ctx, try)
		err := put(limited, nc, m)
		cancel()
		if err == nil || isTaken(err) {
			return nil
		}
		if coded, ok := errors.AsType[*codedError](err); ok {
			if r := refused(coded); r != nil {
				return r
			}
		}
		if errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// purge deletes all messages of a subject.
func purge(ctx context.Context, nc *nats.Conn, stream, subject string) error {
	return command(ctx, nc, "$JS.API.STREAM.PURGE."+stream, `{"filter":`+strconv.Quote(subject)+`}`)
}

// parseCount reads from a stream's description how many subjects it has of those
// that were asked for.
func parseCount(data []byte) (int, error) {
	var info struct {
		Error *codedError `json:"error"`
		State *struct {
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	switch err := json.Unmarshal(data, &info); {
	case err != nil:
		return 0, fmt.Errorf("malformed answer of the server: %w", err)
	case info.Error != nil:
		return 0, info.Error
	case info.State == nil:
		return 0, errors.New("malformed answer of the server: no state")
	}
	return len(info.State.Subjects), nil
}
