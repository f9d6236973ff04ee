package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/dispatch"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestTheHeadersOfAJobSurviveTheWay(t *testing.T) {
	s := subjects("k")
	for name, j := range map[string]job{
		"called":                 {id: "T", token: "T", reply: "fleet.k.rep.C.T", client: "C"},
		"called with a deadline": {id: "T", token: "T", reply: "fleet.k.rep.C.T", client: "C", budget: 1500 * time.Millisecond},
		"sent":                   {id: "T", token: "T"},
		"sent with an id":        {id: "order 17", token: tokenOf("order 17"), once: true, after: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseJob(s, j.token, j.header("application/json"))
			require.NoError(t, err)
			require.Equal(t, j, got)
		})
	}
}

// The server refuses a time to live below a second, and drops fractions of a second.
func TestTheTimeToLiveIsWholeSecondsUpwards(t *testing.T) {
	for budget, want := range map[time.Duration][2]string{
		time.Microsecond: {"1", "1s"}, time.Second: {"1000", "1s"}, 1001 * time.Millisecond: {"1001", "2s"},
		math.MaxInt64: {"9223372036855", "9223372037s"},
	} {
		h := job{id: "T", token: "T", budget: budget}.header("x")
		require.Equal(t, want, [2]string{h.Get(headBudget), h.Get(headTTL)})
	}
}

func TestMalformedHeadersOfAJobAreNamed(t *testing.T) {
	good := func() nats.Header {
		return job{id: "T", token: "T", reply: "fleet.k.rep.C.T", budget: time.Second}.header("x")
	}
	for name, row := range map[string]struct{ header, value, want string }{
		"no id":              {headID, "", headID},
		"another's id":       {headID, "U", headID},
		"a strange reply":    {headReply, "$JS.API.STREAM.DELETE.x", headReply},
		"a negative budget":  {headBudget, "-5", headBudget},
		"no number":          {headBudget, "soon", headBudget},
		"zero":               {headBudget, "0", headBudget},
		"too many":           {headBudget, "9223372036854775807", headBudget},
		"a negative after":   {headAfter, "-5", headAfter},
		"an after of digits": {headAfter, "1_000", headAfter},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			h.Set(row.header, row.value)
			j, err := parseJob("k", "T", h)
			require.ErrorContains(t, err, row.want)
			require.Equal(t, "T", j.token)
		})
	}
	j, err := parseJob("k", "T", nats.Header{headReply: {"fleet.k.rep.C.T"}})
	require.Error(t, err)
	require.Equal(t, "fleet.k.rep.C.T", j.reply, "its caller is to hear of it")
}

var errKnown, errOther = errors.New("known"), errors.New("other")

// hostile is an error whose methods panic.
type hostile struct{}

func (hostile) Error() string   { panic("in Error") }
func (hostile) Is(error) bool   { panic("in Is") }
func (hostile) As(any) bool     { panic("in As") }
func (hostile) Unwrap() []error { return []error{io.EOF} }

// travel returns the error that a caller gets for a worker's error.
func travel(t *testing.T, err error, known ...error) error {
	t.Helper()
	status, f := describe(err, known)
	sent := outcome{id: "T", status: status, attempt: 2, worker: "w", body: f.body()}
	o, perr := parseOutcome(sent.header(), sent.body)
	require.NoError(t, perr)
	require.Equal(t, sent.status, o.status)
	return o.asError(known)
}

func TestF9ErrorsKeepTheirMeaning(t *testing.T) {
	all := []error{errKnown, errOther, dispatch.ErrGoexit, dispatch.ErrTimeout, context.DeadlineExceeded, context.Canceled, ErrTooLarge, ErrDead, io.EOF}
	for name, row := range map[string]struct {
		err error
		is  []error
	}{
		"a known one":     {fmt.Errorf("wrapped: %w", errKnown), []error{errKnown}},
		"two known ones":  {errors.Join(errKnown, errOther), []error{errKnown, errOther}},
		"its text only":   {errors.New("known"), nil},
		"an unknown one":  {io.EOF, nil},
		"a deadline":      {context.DeadlineExceeded, nil},
		"a cancel":        {context.Canceled, nil},
		"Goexit":          {dispatch.ErrGoexit, []error{dispatch.ErrGoexit}},
		"a timeout":       {&dispatch.TimeoutError{Limit: time.Second, Ran: true}, []error{dispatch.ErrTimeout, context.DeadlineExceeded}},
		"too large":       {fmt.Errorf("%w: an output", ErrTooLarge), []error{ErrTooLarge}},
		"a hostile one":   {hostile{}, nil},
		"marked as final": {NoRetry(errKnown), []error{errKnown}},
		"marked as passing": {
			Retry(errKnown, time.Second), []error{errKnown}},
	} {
		t.Run(name, func(t *testing.T) {
			err := travel(t, row.err, errKnown, errOther)
			var remote *RemoteError
			require.ErrorAs(t, err, &remote)
			require.Equal(t, "T w 2", fmt.Sprint(remote.ID, " ", remote.Worker, " ", remote.Attempt))
			for _, target := range all {
				want := false
				for _, is := range row.is {
					want = want || errors.Is(is, target) && errors.Is(target, is)
				}
				require.Equal(t, want, errors.Is(err, target), "%v", target)
			}
		})
	}
}

func TestAPanicTravelsWithTheStackOfItsWorker(t *testing.T) {
	err := travel(t, &dispatch.PanicError{Value: errKnown, Stack: []byte("goroutine 7")}, errKnown)
	var p *dispatch.PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "known", p.Value)
	require.Equal(t, "goroutine 7", string(p.Stack))
	require.ErrorIs(t, err, errKnown, "a panic with an error is that error")
	require.Contains(t, err.Error(), "fleet: job T on w: ")
}

func TestATimeoutTravelsWithItsLimit(t *testing.T) {
	err := travel(t, &dispatch.TimeoutError{Limit: 3 * time.Second, Ran: true})
	var e *dispatch.TimeoutError
	require.ErrorAs(t, err, &e)
	require.Equal(t, dispatch.TimeoutError{Limit: 3 * time.Second, Ran: true}, *e)
}

func TestAFailureFitsIntoAMessage(t *testing.T) {
	long := strings.Repeat("ä", 1<<20)
	_, f := describe(&dispatch.PanicError{Value: long, Stack: []byte(long)}, nil)
	require.Less(t, len(f.body()), 512<<10)
	require.Less(t, len(f.short().body()), 4<<10)
}

func TestMalformedResultsAreErrors(t *testing.T) {
	good := outcome{id: "T", status: statusOK, attempt: 1}.header()
	for name, row := range map[string]struct{ header, value, want string }{
		"no id":      {headID, "", headID},
		"no status":  {headStatus, "", headStatus},
		"new status": {headStatus, "fine", headStatus},
		"no attempt": {headAttempt, "", headAttempt},
		"negative":   {headAttempt, "-1", headAttempt},
	} {
		t.Run(name, func(t *testing.T) {
			h := nats.Header{}
			maps.Copy(h, good)
			h.Set(row.header, row.value)
			_, err := parseOutcome(h, nil)
			require.ErrorContains(t, err, row.want)
		})
	}
	require.ErrorContains(t, outcome{id: "T", status: statusError, body: []byte("{")}.asError(nil), "malformed result")
}

func TestPausesGrowToAnHour(t *testing.T) {
	var got []time.Duration
	for _, n := range []int{1, 2, 3, 7, 8, 1 << 40} {
		got = append(got, pauseAfter(n)/time.Second)
	}
	require.Equal(t, []time.Duration{1, 16, 81, 2401, 3600, 3600}, got)
}

func TestRetryAndNoRetryKeepTheError(t *testing.T) {
	require.NoError(t, Retry(nil, time.Second))
	require.NoError(t, NoRetry(nil))
	require.ErrorIs(t, Retry(errKnown, time.Second), errKnown)
	require.EqualError(t, NoRetry(errKnown), "known")
	retry, ok := errors.AsType[*retryError](Retry(errKnown, -1))
	require.True(t, ok)
	require.Zero(t, retry.after)
}

func TestInfoIsThereInAJobOfTheFleetOnly(t *testing.T) {
	_, ok := Info(t.Context())
	require.False(t, ok)
	info, ok := Info(context.WithValue(t.Context(), infoKey{}, JobInfo{ID: "T", Attempt: 2}))
	require.True(t, ok)
	require.Equal(t, JobInfo{ID: "T", Attempt: 2}, info)
}

func FuzzJobHeaders(f *testing.F) {
	f.Add("T", "T", "fleet.k.rep.C.T", "1500", "")
	f.Add("order 17", tokenOf("order 17"), "", "", "60000")
	f.Add("\xff", "=", "fleet.k.rep..", "-1", "9223372036854775808")
	f.Fuzz(func(t *testing.T, id, token, reply, budget, after string) {
		h := nats.Header{headID: {id}, headReply: {reply}, headBudget: {budget}, headAfter: {after}}
		j, err := parseJob("k", token, h)
		require.Equal(t, token, j.token)
		if j.reply != "" {
			require.Equal(t, subjects("k").reply(j.client, token), j.reply)
		}
		if err != nil {
			return
		}
		require.Equal(t, token, tokenOf(j.id))
		require.GreaterOrEqual(t, j.budget, time.Duration(0))
		require.GreaterOrEqual(t, j.after, time.Duration(0))
		back, err := parseJob("k", token, j.header("x"))
		require.NoError(t, err)
		back.once = j.once
		require.Equal(t, j, back)
	})
}

func FuzzFailure(f *testing.F) {
	f.Add(statusPanic, []byte(`{"message":"m","value":"v","stack":"s","is":["known"]}`), "1")
	f.Add(statusTimeout, []byte(`{"limit_ns":5,"ran":true,"dead":true}`), "2")
	f.Add(statusOK, []byte(`{`), "x")
	f.Fuzz(func(t *testing.T, status string, body []byte, attempt string) {
		o, err := parseOutcome(nats.Header{headID: {"T"}, headStatus: {status}, headAttempt: {attempt}}, body)
		if err != nil || o.status == statusOK {
			return
		}
		err = o.asError([]error{errKnown})
		require.Error(t, err)
		_ = err.Error()
		remote, ok := errors.AsType[*RemoteError](err)
		if !ok {
			require.False(t, json.Valid(body) && isFailure(body), "%q", body)
			return
		}
		require.Equal(t, strconv.Itoa(remote.Attempt), strconv.Itoa(o.attempt))
		require.Equal(t, status == statusGoexit, errors.Is(err, dispatch.ErrGoexit))
	})
}

func isFailure(body []byte) bool { return json.Unmarshal(body, new(failure)) == nil }

func FuzzServerAnswers(f *testing.F) {
	f.Add([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"}}`))
	f.Add([]byte(`{"message":{"subject":"fleet.k.res.T","seq":3,"hdrs":"TkFUUy8xLjANCg0K","data":"MQ==","time":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"state":{"subjects":{"a":1}}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := apiError(data); err != nil {
			_ = refused(err)
		}
		if s, err := parseStored(data); err == nil {
			_ = deadOf(s)
		}
		_, _ = parseCount(data)
		_, _ = parseFirst(data)
	})
}
