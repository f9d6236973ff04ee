package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"example.com/dispatch"
	"github.com/nats-io/nats.go"
)

// ErrTooLarge is returned for an input that does not fit into a message of the server:
// 1 MiB, unless the server is configured otherwise, less 2 KiB for headers. The job is
// not stored. As the outcome of a job, ErrTooLarge means that the output does not fit.
// Put large data into another store, and send its key.
var ErrTooLarge = errors.New("fleet: too large for a message")

// ErrDead is the outcome of a job that became a dead letter.
var ErrDead = errors.New("fleet: job is a dead letter")

// ErrNotFound is returned for an unknown id: there is no such job, or its result has
// expired after Settings.KeepFor.
var ErrNotFound = errors.New("fleet: no such job")

// The headers of the wire format, version 1.
const (
	wireVersion = "1"

	headVersion     = "Fleet-Version"
	headID          = "Fleet-Id"
	headReply       = "Fleet-Reply"     // of a called job: the subject on which its caller waits
	headBudget      = "Fleet-Budget-Ms" // of a called job: the time that was left until its caller's deadline
	headAfter       = "Fleet-After-Ms"  // of a sent job: its delay
	headStatus      = "Fleet-Status"    // of a result, as are the next four
	headAttempt     = "Fleet-Attempt"
	headWorker      = "Fleet-Worker"
	headWait        = "Fleet-Wait-Us"
	headRun         = "Fleet-Run-Us"
	headReason      = "Fleet-Reason" // of a dead letter
	headContentType = "Content-Type"

	headMsgID    = "Nats-Msg-Id"
	headExpected = "Nats-Expected-Last-Subject-Sequence"
	headTTL      = "Nats-TTL"
)

// headroom is the space that is left free in a job's message, for the additional
// headers of its dead letter.
const headroom = 2 << 10

// job is the content of the headers of a job's message.
type job struct {
	id, token string
	once      bool          // the sender has chosen the id
	reply     string        // the subject on which the caller waits; "" for a sent job
	client    string        // the client to which reply belongs
	budget    time.Duration // from the storing of the job until the caller's deadline; 0: no deadline
	after     time.Duration // the delay of a sent job
}

func (j job) header(contentType string) nats.Header {
	h := nats.Header{
		headVersion:     {wireVersion},
		headID:          {j.id},
		headMsgID:       {j.token},
		headContentType: {contentType},
	}
	if j.once {
		h[headExpected] = []string{"0"}
	}
	if j.reply != "" {
		h[headReply] = []string{j.reply}
	}
	if j.budget > 0 {
		h[headBudget] = []string{strconv.FormatInt(ceil(j.budget, time.Millisecond), 10)}
		h[headTTL] = []string{strconv.FormatInt(ceil(j.budget, time.Second), 10) + "s"}
	}
	if j.after > 0 {
		h[headAfter] = []string{strconv.FormatInt(ceil(j.after, time.Millisecond), 10)}
	}
	return h
}

// ceil returns d in units, rounded up.
func ceil(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}

// parseJob reads the headers of the job whose subject ends in token. On an error the
// returned job still has the token, and the reply if it is well-formed.
func parseJob(s subjects, token string, h nats.Header) (job, error) {
	j := job{token: token, id: token}
	reply := h.Get(headReply)
	if client, ok := s.clientOf(reply, token); ok {
		j.reply, j.client = reply, client
	}
	id := h.Get(headID)
	if err := checkID(id); err != nil || tokenOf(id) != token {
		return j, fmt.Errorf("header %s %q does not match the subject's token %q", headID, cut(id, 256), token)
	}
	j.id = id
	if reply != j.reply {
		return j, fmt.Errorf("header %s %q is not a reply subject of this job", headReply, cut(reply, 256))
	}
	j.once = h.Get(headExpected) != ""
	var err error
	if j.budget, err = millis(h, headBudget); err != nil {
		return j, err
	}
	if j.after, err = millis(h, headAfter); err != nil {
		return j, err
	}
	return j, nil
}

// millis reads a header that is a number of milliseconds. It returns 0 if the header is
// missing.
func millis(h nats.Header, name string) (time.Duration, error) {
	text := h.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := parseUnits(text, time.Millisecond)
	if err != nil || d == 0 {
		return 0, fmt.Errorf("header %s %q is not a number of milliseconds", name, cut(text, 64))
	}
	return d, nil
}

// micros reads a header that is a number of microseconds. It returns 0 if the header is
// missing, as in the outcomes of older workers.
func micros(h nats.Header, name string) (time.Duration, error) {
	text := h.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := parseUnits(text, time.Microsecond)
	if err != nil {
		return 0, fmt.Errorf("header %s %q is not a number of microseconds", name, cut(text, 64))
	}
	return d, nil
}

// parseUnits reads a whole number of units.
func parseUnits(text string, unit time.Duration) (time.Duration, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64/uint64(unit) {
		return 0, strconv.ErrRange
	}
	return time.Duration(n) * unit, nil
}

// The values of headStatus.
const (
	statusOK       = "ok"
	statusError    = "error"
	statusPanic    = "panic"
	statusGoexit   = "goexit"
	statusTimeout  = "timeout"
	statusCodec    = "codec"
	statusTooLarge = "toolarge"
	statusCanceled = "canceled"
)

// outcome is a result on the wire. The body is the encoded output if the status is ok,
// or else a failure.
type outcome struct {
	id, status  string
	attempt     int
	worker      string
	wait, run   time.Duration // of the attempt; 0 if it did not start the job
	contentType string
	body        []byte
}

func (o outcome) header() nats.Header {
	h := nats.Header{
		headID:      {o.id},
		headStatus:  {o.status},
		headAttempt: {strconv.Itoa(o.attempt)},
		headWorker:  {o.worker},
	}
	if o.status == statusOK {
		h[headContentType] = []string{o.contentType}
	}
	if o.run > 0 {
		h[headWait] = []string{strconv.FormatInt(o.wait.Microseconds(), 10)}
		h[headRun] = []string{strconv.FormatInt(o.run.Microseconds(), 10)}
	}
	return h
}

func parseOutcome(h nats.Header, body []byte) (outcome, error) {
	o := outcome{id: h.Get(headID), status: h.Get(headStatus), worker: h.Get(headWorker), contentType: h.Get(headContentType), body: body}
	if err := checkID(o.id); err != nil {
		return o, fmt.Errorf("header %s: %w", headID, err)
	}
	attempt, err := strconv.ParseUint(h.Get(headAttempt), 10, 31)
	if err != nil {
		return o, fmt.Errorf("header %s %q is not a number", headAttempt, cut(h.Get(headAttempt), 64))
	}
	o.attempt = int(attempt)
	if o.wait, err = micros(h, headWait); err != nil {
		return o, err
	}
	if o.run, err = micros(h, headRun); err != nil {
		return o, err
	}
	switch o.status {
	case statusOK, statusError, statusPanic, statusGoexit, statusTimeout, statusCodec, statusTooLarge, statusCanceled:
		return o, nil
	}
	return o, fmt.Errorf("header %s %q is unknown", headStatus, cut(o.status, 64))
}

// failure is the body of a result that is not an output.
type failure struct {
	Message string        `json:"message"`
	Value   string        `json:"value,omitempty"`    // of a panic
	Stack   string        `json:"stack,omitempty"`    // of a panic
	Limit   time.Duration `json:"limit_ns,omitempty"` //nolint:tagliatelle // of a timeout; the unit is part of the name
	Ran     bool          `json:"ran,omitempty"`      // of a timeout
	Is      []string      `json:"is,omitempty"`       // the texts of the Kind.Errors that match it
	Dead    bool          `json:"dead,omitempty"`
}

// The limits of a failure's texts, in bytes. The server allows a message 1 MiB unless
// an operator has lowered that.
const (
	mostText  = 16 << 10
	mostStack = 64 << 10
)

// describe turns the pool's error into a status and a failure, which can travel.
func describe(err error, known []error) (status string, f failure) {
	f.Message = cut(textOf(err), mostText)
	for _, e := range known {
		if isA(err, e) {
			f.Is = append(f.Is, textOf(e))
		}
	}
	if p, ok := asA[*dispatch.PanicError](err); ok && p != nil {
		f.Value, f.Stack = cut(fmt.Sprint(p.Value), mostText), cut(string(p.Stack), mostStack)
		return statusPanic, f
	}
	if t, ok := asA[*dispatch.TimeoutError](err); ok && t != nil {
		f.Limit, f.Ran = t.Limit, t.Ran
		return statusTimeout, f
	}
	switch {
	case isA(err, dispatch.ErrGoexit):
		return statusGoexit, f
	case isA(err, ErrTooLarge):
		return statusTooLarge, f
	}
	return statusError, f
}

// short returns the failure with its long texts dropped or cut.
func (f failure) short() failure {
	f.Stack, f.Message, f.Value = "", cut(f.Message, 256), cut(f.Value, 256)
	return f
}

func (f failure) body() []byte {
	data, err := json.Marshal(f)
	if err != nil { // cannot happen: the struct has only texts, numbers and bools
		return []byte(`{}`)
	}
	return data
}

// RemoteError is the failure of a job on a worker. errors.Is and errors.As recognise
// in it what the handler's error was, as far as that travels: a value of
// [Kind].Errors, a *[dispatch.PanicError] with the worker's stack, a
// *[dispatch.TimeoutError] of the worker's own limit, [dispatch.ErrGoexit],
// [ErrTooLarge], [ErrDead], and context.Canceled after [Client.Cancel]. No other
// failure matches one of these.
type RemoteError struct {
	ID      string
	Worker  string // the name of the worker's connection; "" if no worker made the outcome
	Attempt int
	Message string // the text of the handler's error

	causes []error
}

// Error returns a text with the job, its worker and the text of the handler's error.
func (e *RemoteError) Error() string {
	if e.Worker == "" {
		return fmt.Sprintf("fleet: job %s: %s", e.ID, e.Message)
	}
	return fmt.Sprintf("fleet: job %s on %s: %s", e.ID, e.Worker, e.Message)
}

// Unwrap returns the errors that errors.Is and errors.As recognise.
func (e *RemoteError) Unwrap() []error { return e.causes }

// asError turns an outcome that is not an output into an error for the caller.
func (o outcome) asError(known []error) error {
	var f failure
	if err := json.Unmarshal(o.body, &f); err != nil {
		return fmt.Errorf("fleet: job %s: malformed result: %w", o.id, err)
	}
	e := &RemoteError{ID: o.id, Worker: o.worker, Attempt: o.attempt, Message: f.Message}
	switch o.status {
	case statusPanic:
		e.causes = append(e.causes, &dispatch.PanicError{Value: f.Value, Stack: []byte(f.Stack)})
	case statusTimeout:
		e.causes = append(e.causes, &dispatch.TimeoutError{Limit: f.Limit, Ran: f.Ran})
	case statusGoexit:
		e.causes = append(e.causes, dispatch.ErrGoexit)
	case statusTooLarge:
		e.causes = append(e.causes, ErrTooLarge)
	case statusCanceled:
		e.causes = append(e.causes, context.Canceled)
	}
	if f.Dead {
		e.causes = append(e.causes, ErrDead)
	}
	for _, text := range f.Is {
		for _, err := range known {
			if textOf(err) == text {
				e.causes = append(e.causes, err)
			}
		}
	}
	return e
}
