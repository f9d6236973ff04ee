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

// Settings say how the server keeps the jobs of a kind. A zero field has its default.
type Settings struct {
	// Lease is how long a worker keeps a job without a sign of life: a job whose
	// worker has died starts again that much later. Workers renew the lease three
	// times in each, so it does not limit how long a job takes. At least 100 ms; the
	// default is 10 s.
	Lease time.Duration

	// Attempts is how often a job is started before it becomes a dead letter. At
	// least 1; the default is 5.
	Attempts int

	// MaxJobs limits the number of jobs that wait or run. At the limit Call and Send
	// return dispatch.ErrQueueFull. The default is 100,000.
	MaxJobs int

	// MaxBytes limits the bytes on the server's disk for the kind's jobs, for its
	// results and for its dead letters, each of the three on its own. The default is
	// no limit. When the limit for jobs is reached, Call and Send return
	// dispatch.ErrQueueFull. Results and dead letters are never dropped to make room:
	// workers keep them, and the places of their jobs, until older ones expire.
	MaxBytes int64

	// KeepFor is how long a result is kept, and the job's id stays taken after its
	// end. At least 1 s; the default is 1 h.
	KeepFor time.Duration

	// KeepDead is how long a dead letter is kept. At least 1 s; the default is 7
	// days.
	KeepDead time.Duration

	// Replicas is the number of servers of a cluster that keep each job: 1, 3 or 5.
	// The default is 1.
	Replicas int
}

// withDefaults returns the settings with all fields set, or an error that names the
// wrong one.
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

// dedupeWindow is how long the server recognises a message that is published again.
// Clients retry for longer than that only while they get no answer at all.
const dedupeWindow = 2 * time.Minute

// maxWaiting limits how many places of all workers together may wait for a job. It
// cannot be changed later.
const maxWaiting = 16384

// metaAttempts is the key in the consumer's metadata under which workers find
// Settings.Attempts.
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

// consumer returns the configuration of the consumer from which all workers take jobs.
// The workers count the attempts, because a job that exceeds the server's own limit of
// deliveries would stay in its stream forever.
func (s Settings) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: workers, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.Lease,
		MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: maxWaiting,
		Replicas: s.Replicas,
		Metadata: map[string]string{metaAttempts: strconv.Itoa(s.Attempts)},
	}
}

// Provision creates the kind's streams on the server, or changes them to s. Call it
// before the first client and worker start, and whenever s has changed. It never loses
// a job. Any number of processes may call it at once with the same settings. Running
// workers follow a new Lease and new Attempts within half a minute.
//
// While the server is away Provision waits until ctx is done. It returns an error that
// names a wrong setting, an error of the server, or the cause of ctx.
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

// How long the server has to answer before the request is repeated. A request that
// the server received while it had no leader is never answered.
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

// unprovisioned returns an error that says what to do about a kind that the server
// does not know.
func unprovisioned(names subjects, err error) error {
	return fmt.Errorf("fleet: kind %s is not provisioned on this server: call Kind.Provision first: %w", string(names), err)
}

// patiently calls look until it gets an answer. Each call has a context that ends
// after limit, and limit doubles. If the server is away or has no leader, patiently
// waits until ctx ends. If the server answers that it has no JetStream, patiently
// waits for a few seconds: the server may have just started.
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

// hasNoLeader reports whether the servers have yet to agree on a leader that answers.
func hasNoLeader(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.ErrorCode == codeNoLeader
}

// isNoResponder reports whether nothing on the server answers such a request.
func isNoResponder(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled)
}

// Stats is the state of a kind on the server at one moment.
type Stats struct {
	Waiting int           // jobs that no worker has taken
	Taken   int           // jobs that a worker has taken: they run, or are delayed until their next attempt or by After
	Again   int           // jobs of Taken that were taken more than once
	Free    int           // workers' places that wait for a job, at most 256 of each worker
	Oldest  time.Duration // age of the oldest job in Waiting and Taken, from its storing; 0: there is none
	Results int           // results that are kept
	Dead    int           // dead letters that are kept
}

// Stats asks the server for the state of the kind. Raise an alarm when Oldest exceeds
// the time that a job may wait, when Dead is above 0, and when Free is 0 although
// workers should be free. While the server is away, or a cluster has no leader, Stats
// waits until ctx is done.
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
	// The consumer learns of a stored job a moment later than the stream. So Stats asks
	// the consumer first, then the stream, and counts a stored job that is not taken
	// as waiting.
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
	// The stream of results also has the notes of jobs that were handed back.
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

// tally counts the jobs. A job that is done but was left behind in its stream (see
// sweep) counts neither as taken nor as waiting: it is not pending, and its sequence
// is not after the last one delivered.
func tally(c *jetstream.ConsumerInfo, queue *jetstream.StreamInfo) Stats {
	s := Stats{Taken: c.NumAckPending, Again: c.NumRedelivered, Free: c.NumWaiting}
	stored, never := int(queue.State.Msgs), int(queue.State.LastSeq)-int(c.Delivered.Stream)
	s.Waiting = max(min(stored-s.Taken, never), 0)
	if s.Waiting+s.Taken > 0 && stored > 0 {
		s.Oldest = max(queue.TimeStamp.Sub(queue.State.FirstTime), 0)
	}
	return s
}
