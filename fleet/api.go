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

// The error codes of JetStream that this package distinguishes.
const (
	codeNoMessage     = 10037
	codeNoSequence    = 10043
	codeNoLeader      = 10008 // the servers that keep a stream have yet to agree on a leader
	codeDelete        = 10057 // a message could not be deleted; the text says why
	codeNoStream      = 10059
	codeNoRoomServer  = 10023 // the store of the server is full
	codeNoRoomAccount = 10047 // the store of the account is full
	codeStore         = 10077 // the stream is at its limit of messages or bytes, or the store fails; the text says which
	codeTooLong       = 10054 // the message is too long for the stream
	codeTaken         = 10071 // the subject already has a message
	codeBusyID        = 10158 // servers with replicas are about to store a message with that id ...
	codeBusySubject   = 10164 // ... or on that subject; they may fail to, if their leader dies
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

// refused returns the refusal that an error from the storing of a job means, or nil if
// the error may be gone in a moment.
func refused(e *codedError) *refusal {
	switch e.Code {
	case codeTaken:
		return &refusal{text: "a job with this id exists", exists: true}
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

// errNone is returned by requests for a message if there is none.
var errNone = errors.New("fleet: no such message")

// parseStored reads the answer to a request for a message.
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

// ask sends a request to the server, again and again until the server answers or ctx is
// done. It returns what read makes of the answer. The leader of the stream answers,
// because a follower's state may be old. While there is no leader, the server is silent
// or says so, and ask repeats the request.
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

// command is ask for a request whose answer has nothing but an error or success.
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

// erase deletes a message. It is not an error if the message does not exist.
func erase(ctx context.Context, nc *nats.Conn, stream string, seq uint64) error {
	err := command(ctx, nc, "$JS.API.STREAM.MSG.DELETE."+stream, deleteRequest(seq))
	coded, ok := errors.AsType[*codedError](err)
	switch {
	case !ok:
		return err
	case coded.isGone(): // the job has been acknowledged meanwhile
		return nil
	}
	return fmt.Errorf("fleet: %w", err)
}

// isGone reports whether a message could not be deleted because it does not exist.
func (e *codedError) isGone() bool {
	switch e.Code {
	case codeNoMessage, codeNoSequence:
		return true
	case codeDelete:
		return e.Description == "no message found" || e.Description == "deleted message" || e.Description == "stream store EOF"
	}
	return false
}

// put has the server store a message. It tries once. An error of the server is a
// *codedError.
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

// outcomeMsg returns a message that stores an outcome only if its subject has none yet.
// So the first outcome is the only one.
func outcomeMsg(subject string, o outcome) *nats.Msg {
	h := o.header()
	h[headExpected] = []string{"0"}
	return &nats.Msg{Subject: subject, Header: h, Data: o.body}
}

// isTaken reports whether a message was not stored because its subject already has a
// stored one, not just one that is being stored.
func isTaken(err error) bool {
	coded, ok := errors.AsType[*codedError](err)
	return ok && coded.Code == codeTaken
}

// putFirst stores an outcome if the job has none, and reports whether it did. It tries
// until ctx is done.
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

// putJob stores a job unless its subject has one already. It tries until ctx is done or
// the server refuses.
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

// parseCount reads from a stream's description how many of the requested subjects it
// has.
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
