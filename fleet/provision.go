package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Settings say how the server keeps the jobs of a kind. A field that is zero has
// its default.
type Settings struct {
	// Lease is how long a worker keeps a job that it is not heard of with: a job
	// whose worker has died begins anew that much later. Workers extend it three
	// times as often, so it does not limit how long a job takes. At least 100 ms;
	// the default is 10 s.
	Lease time.Duration

	// Attempts is how often a job is begun before it becomes a dead letter. The
	// default is 5.
	Attempts int

	// MaxJobs is the most jobs that wait or run. Beyond them Call and Send return
	// dispatch.ErrQueueFull. The default is 100,000.
	MaxJobs int

	// MaxBytes is the most bytes that the server's disk holds of the jobs, of the
	// results and of the dead letters of the kind, for each of the three. The
	// default is no limit. Beyond it Call and Send return dispatch.ErrQueueFull;
	// results and dead letters are never dropped to make room: workers keep them,
	// and their places, until older ones have had their time.
	MaxBytes int64

	// KeepFor is how long a result waits to be asked for, and its id stays taken.
	// At least 1 s; the default is 1 h.
	KeepFor time.Duration

	// KeepDead is how long a dead letter is kept. At least 1 s; the default is 7
	// days.
	KeepDead time.Duration

	// Replicas is how many servers of a cluster keep each job: 1, 3 or 5. The
	// default is 1.
	Replicas int
}

// withDefaults returns the settings with all fields set, or what is wrong.
func (s Settings) withDefaults() (Settings, error) {
	if s.Lease == 0 {
		s.Lease = 10 * time.Second
	}
	if s.Attempts == 0 {
		s.Attempts = 5
	}
	if s.MaxJobs == 0 {
		s.MaxJobs = 100_000
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = -1
	} else if s.MaxBytes < 1 {
		return s, fmt.Errorf("fleet: Settings.MaxBytes %d: must be at least 1", s.MaxBytes)
	}
	if s.KeepFor == 0 {
		s.KeepFor = time.Hour
	}
	if s.KeepDead == 0 {
		s.KeepDead = 7 * 24 * time.Hour
	}
	if s.Replicas == 0 {
		s.Replicas = 1
	}
	switch {
	case s.Lease < 100*time.Millisecond:
		return s, fmt.Errorf("fleet: Settings.Lease %v: must be at least 100ms", s.Lease)
	case s.Attempts < 1:
		return s, fmt.Errorf("fleet: Settings.Attempts %d: must be at least 1", s.Attempts)
	case s.MaxJobs < 1:
		return s, fmt.Errorf("fleet: Settings.MaxJobs %d: must be at least 1", s.MaxJobs)
	case s.KeepFor < time.Second:
		return s, fmt.Errorf("fleet: Settings.KeepFor %v: must be at least 1s", s.KeepFor)
	case s.KeepDead < time.Second:
		return s, fmt.Errorf("fleet: Settings.KeepDead %v: must be at least 1s", s.KeepDead)
	case s.Replicas != 1 && s.Replicas != 3 && s.Replicas != 5:
		return s, fmt.Errorf("fleet: Settings.Replicas %d: must be 1, 3 or 5", s.Replicas)
	}
	return s, nil
}

// dedupeWindow is how long the server knows a message that comes again. Clients
// try for longer than that only while they get no answer at all.
const dedupeWindow = 2 * time.Minute

// maxWaiting is how many places of all workers may wait for a job. The server
// cannot change it later.
const maxWaiting = 16384

// metaAttempts is where workers read Settings.Attempts.
const metaAttempts = "fleet_attempts"

func (s Settings) streams(names subjects) []jetstream.StreamConfig {
	all := []jetstream.StreamConfig{{
		Name: names.jobs(), Subjects: []string{names.job("*")},
		Retention: jetstream.WorkQueuePolicy, MaxMsgs: int64(s.MaxJobs),
		AllowMsgTTL: true,
	}, {
		Name: names.results(), Subjects: []string{names.result("*"), names.back("*", "*")},
		MaxAge: s.KeepFor, MaxMsgsPerSubject: 1,
	}, {
		Name: names.graves(), Subjects: []string{names.dead("*")},
		MaxAge: s.KeepDead, MaxMsgsPerSubject: 1,
	}}
	for i := range all {
		c := &all[i]
		c.Storage, c.Discard = jetstream.FileStorage, jetstream.DiscardNew
		c.Replicas, c.MaxBytes = s.Replicas, s.MaxBytes
		c.Duplicates = dedupeWindow
		if c.MaxAge > 0 {
			c.Duplicates = min(c.Duplicates, c.MaxAge)
		}
	}
	return all
}

// consumer is what all workers take their jobs from. The attempts are counted by
// them: a job that the server counts out stays in its stream for ever.
func (s Settings) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: workers, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.Lease,
		MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: maxWaiting,
		Replicas: s.Replicas,
		Metadata: map[string]string{metaAttempts: strconv.Itoa(s.Attempts)},
	}
}

// Provision makes the kind's streams on the server, or changes them to s: before
// the first client and worker, and whenever s has changed. It never loses a job.
// Any number of processes may call it at once with the same settings. Workers
// that run follow a new Lease and new Attempts within half a minute.
//
// A server that is away is waited for until ctx is done. It returns an error that
// names the setting that is wrong, the server's, or the cause of ctx.
func (k Kind[In, Out]) Provision(ctx context.Context, nc *nats.Conn, s Settings) error {
	if err := k.check(); err != nil {
		return err
	}
	s, err := s.withDefaults()
	if err != nil {
		return err
	}
	js, err := newJetStream(nc)
	if err != nil {
		return err
	}
	names := k.subjects()
	for _, config := range s.streams(names) {
		_, err := patiently(ctx, names, makeLimit, func(ctx context.Context) (jetstream.Stream, error) {
			return js.CreateOrUpdateStream(ctx, config)
		})
		if err != nil {
			return err
		}
	}
	_, err = patiently(ctx, names, makeLimit, func(ctx context.Context) (jetstream.Consumer, error) {
		return js.CreateOrUpdateConsumer(ctx, names.jobs(), s.consumer())
	})
	return err
}

// How long the server has for an answer before it is asked again: it may have had
// no leader.
const (
	lookLimit = firstTry
	makeLimit = 5 * time.Second
)

func newJetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	if nc == nil {
		return nil, errors.New("fleet: the connection is nil")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return js, nil
}

// unprovisioned says what to do about a kind that the server does not know.
func unprovisioned(names subjects, err error) error {
	return fmt.Errorf("fleet: kind %s is not provisioned on this server: call Kind.Provision first: %w", string(names), err)
}

// patiently calls look until it has an answer, each time with a context that ends
// after the limit, which doubles. A server that is away, or has no leader, is waited
// for until ctx ends, one that answers without JetStream for a few seconds: it may
// have started a moment ago.
func patiently[T any](ctx context.Context, names subjects, limit time.Duration, look func(context.Context) (T, error)) (T, error) {
	for began := time.Now(); ; limit = min(2*limit, longestTry) {
		try, cancel := context.WithTimeout(ctx, limit)
		v, err := look(try)
		cancel()
		switch {
		case err == nil:
			return v, nil
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
			return v, unprovisioned(names, err)
		case ctx.Err() != nil:
			return v, context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), hasNoLeader(err):
		case isNoResponder(err) && time.Since(began) < 5*time.Second:
		default:
			return v, fmt.Errorf("fleet: kind %s: %w", string(names), err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// hasNoLeader tells whether the servers have yet to agree on who answers.
func hasNoLeader(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.ErrorCode == codeNoLeader
}

// isNoResponder tells whether the server has nobody who answers.
func isNoResponder(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled)
}

// Stats is what the server knows of a kind at one moment.
type Stats struct {
	Waiting int           // jobs that no worker has
	Taken   int           // jobs that a worker has: they run, or are held back for another attempt or for their time
	Again   int           // of Taken, those that were taken more than once
	Free    int           // places of workers that wait for a job, at most 256 of each
	Oldest  time.Duration // since the oldest job that waits or is taken was stored; 0: there is none
	Results int           // kept
	Dead    int           // letters that are kept
}

// Stats asks the server how the kind is doing. Worth an alarm are Oldest above
// what a job may wait, any Dead, and no Free where there should be. A server that
// is away, or a cluster that has no leader, is waited for until ctx is done.
func (k Kind[In, Out]) Stats(ctx context.Context, nc *nats.Conn) (Stats, error) {
	var s Stats
	if err := k.check(); err != nil {
		return s, err
	}
	js, err := newJetStream(nc)
	if err != nil {
		return s, err
	}
	names := k.subjects()
	ofStream := func(name string, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
		return patiently(ctx, names, lookLimit, func(ctx context.Context) (*jetstream.StreamInfo, error) {
			stream, err := js.Stream(ctx, name)
			if err != nil {
				return nil, err
			}
			if len(opts) == 0 {
				return stream.CachedInfo(), nil
			}
			return stream.Info(ctx, opts...)
		})
	}
	// The consumer hears of a stored job a moment later than the stream, which is
	// asked after it: what is stored and not taken waits.
	consumer, err := patiently(ctx, names, lookLimit, func(ctx context.Context) (jetstream.Consumer, error) {
		return js.Consumer(ctx, names.jobs(), workers)
	})
	if err != nil {
		return s, err
	}
	queue, err := ofStream(names.jobs())
	if err != nil {
		return s, err
	}
	s = tally(consumer.CachedInfo(), queue)
	// Notes of jobs that were handed back are in the results' stream too.
	kept, err := ofStream(names.results(), jetstream.WithSubjectFilter(names.back("*", "*")))
	if err != nil {
		return Stats{}, err
	}
	s.Results = int(kept.State.Msgs) - len(kept.State.Subjects)
	graves, err := ofStream(names.graves())
	if err != nil {
		return Stats{}, err
	}
	s.Dead = int(graves.State.Msgs)
	return s, nil
}

// tally counts the jobs. Those that are done and were left behind in their stream
// (see sweep) are neither taken nor beyond the last that was delivered.
func tally(c *jetstream.ConsumerInfo, queue *jetstream.StreamInfo) Stats {
	s := Stats{Taken: c.NumAckPending, Again: c.NumRedelivered, Free: c.NumWaiting}
	stored, never := int(queue.State.Msgs), int(queue.State.LastSeq)-int(c.Delivered.Stream)
	s.Waiting = max(min(stored-s.Taken, never), 0)
	if s.Waiting+s.Taken > 0 && stored > 0 {
		s.Oldest = max(queue.TimeStamp.Sub(queue.State.FirstTime), 0)
	}
	return s
}
