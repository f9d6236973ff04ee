package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for something that must happen. It is long because
// the machine may be busy with other things.
const patience = 2 * time.Minute

// task is the input of the tests' jobs: it says what the handler does.
type task struct {
	N   int
	Nap time.Duration
	Do  string
}

var errBusy = errors.New("the machine is busy")

var tasks = fleet.Kind[task, string]{Name: "tasks", Errors: []error{errBusy}}

// handler returns a handler that does what a task says, and notes it in the journal.
func (j journal) handler(name string) dispatch.Handler[task, string] {
	return func(ctx context.Context, in task) (string, error) {
		info, _ := fleet.Info(ctx)
		j.note("begin", in.N, name, info.Attempt, info.ID)
		defer j.note("end", in.N, name)
		switch in.Do {
		case "die":
			os.Exit(3)
		case "fail":
			return "", errors.New("it failed")
		case "busy":
			return "", fmt.Errorf("not now: %w", errBusy)
		case "retry":
			return "", fleet.Retry(errBusy, 10*time.Millisecond)
		case "retry once":
			if info.Attempt == 1 {
				return "", fleet.Retry(errBusy, 10*time.Millisecond)
			}
		case "give up":
			return "", fleet.NoRetry(errBusy)
		case "panic":
			panic("a bad day")
		case "goexit":
			runtime.Goexit()
		case "grow":
			return string(make([]byte, 2<<20)), nil
		case "deaf": // it ignores its context
			time.Sleep(in.Nap)
		}
		select {
		case <-time.After(in.Nap):
			return fmt.Sprint(in.N, " by ", name), nil
		case <-ctx.Done():
			j.note("told", in.N, name)
			return "", context.Cause(ctx)
		}
	}
}

// many returns n tasks like this one, numbered from 0.
func many(n int, like task) []task {
	all := make([]task, n)
	for i := range all {
		like.N = i
		all[i] = like
	}
	return all
}

// always are the options of a connection that never gives up.
func always(more ...nats.Option) []nats.Option {
	return append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(0, 0)}, more...)
}

// connect returns a connection that is closed at the end of the test.
func connect(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, always(opts...)...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// open returns a server in this process, with an address, and a connection to it.
func open(t *testing.T, o embedded.Options) (*embedded.Server, *nats.Conn) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Listen = "127.0.0.1:0"
	s, err := embedded.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	nc, err := s.Connect()
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return s, nc
}

// lazy returns a server that does not wait for the disk, provisioned for tasks.
func lazy(t *testing.T, s fleet.Settings) (*embedded.Server, *nats.Conn) {
	t.Helper()
	server, nc := open(t, embedded.Options{LazySync: true})
	provision(t, nc, s)
	return server, nc
}

func provision(t *testing.T, nc *nats.Conn, s fleet.Settings) {
	t.Helper()
	require.NoError(t, tasks.Provision(limited(t), nc, s))
}

// limited returns a context for a call that must not take forever.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func client(t *testing.T, nc *nats.Conn) *fleet.Client[task, string] {
	t.Helper()
	c, err := fleet.NewClient(limited(t), nc, tasks)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// callers returns a pool whose n workers make calls.
func callers(t *testing.T, c *fleet.Client[task, string], n int) *dispatch.Pool[task, string] {
	t.Helper()
	p := dispatch.Must(dispatch.New(c.Call, dispatch.WithWorkers(n)))
	t.Cleanup(func() { p.Stop(); require.NoError(t, p.Close()) })
	return p
}

// crew is a worker in this process.
type crew struct {
	t    *testing.T
	pool *dispatch.Pool[task, string]
	stop context.CancelFunc
	over chan struct{}
	err  error // of Serve, once over is closed
}

func serve(t *testing.T, nc *nats.Conn, handler dispatch.Handler[task, string], opts ...dispatch.Option) *crew {
	t.Helper()
	c := &crew{t: t, pool: dispatch.Must(dispatch.New(handler, opts...)), over: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() {
		defer close(c.over)
		c.err = fleet.Serve(ctx, nc, tasks, c.pool)
	}()
	t.Cleanup(func() {
		stop()
		c.pool.Stop() // ends jobs that a failed test has left running
		<-c.over
		require.NoError(t, c.pool.Close())
	})
	return c
}

// end has the crew drain, and returns the error of Serve.
func (c *crew) end() error {
	c.t.Helper()
	c.stop()
	return c.wait()
}

func (c *crew) wait() error {
	c.t.Helper()
	select {
	case <-c.over:
		return c.err
	case <-time.After(patience):
		require.Fail(c.t, "Serve has not returned")
		return nil
	}
}

// stats returns the server's stats of the kind tasks.
func stats(t *testing.T, nc *nats.Conn) fleet.Stats {
	t.Helper()
	s, err := tasks.Stats(limited(t), nc)
	require.NoError(t, err)
	return s
}

// requireRest asserts that no job is left on the server, neither in its counters nor
// in its stream.
func requireRest(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	requireSoon(t, func() bool {
		s, err := tasks.Stats(limited(t), nc)
		return err == nil && s.Waiting+s.Taken == 0 && s.Oldest == 0
	}, "jobs are left on the server")
	requireSoon(t, func() bool {
		try, cancel := context.WithTimeout(t.Context(), time.Second) // a server without a leader leaves the request unanswered
		defer cancel()
		stream, err := js.Stream(try, "FLEET_tasks_JOBS")
		return err == nil && stream.CachedInfo().State.Msgs == 0
	}, "jobs that do not count are left in their stream")
}

// requireSoon asserts that f returns true before patience is over.
func requireSoon(t *testing.T, f func() bool, what string, args ...any) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			require.Failf(t, "it has not come true", what, args...)
		}
	}
}

// requireFree waits until n places of workers are free.
func requireFree(t *testing.T, nc *nats.Conn, n int) {
	t.Helper()
	requireSoon(t, func() bool { return stats(t, nc).Free == n }, "there are not %d free places", n)
}

// letters returns the dead letters.
func letters(t *testing.T, nc *nats.Conn) []fleet.Dead {
	t.Helper()
	var all []fleet.Dead
	for d, err := range tasks.Dead(limited(t), nc) {
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

// freeAddress returns an address that a server can listen on a moment later. Its port is
// outside the range from which systems choose ports for connections, or a connection might
// have it by then.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 12_000+rand.IntN(20_000)))
		if err == nil {
			require.NoError(t, l.Close())
			return l.Addr().String()
		}
	}
	require.Fail(t, "there is no free port")
	return ""
}

// cable is a connection to a server that can be cut.
type cable struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	isCut    bool
	silent   bool
	delay    time.Duration // of everything from the server
	ends     map[net.Conn]bool
	resume   *sync.Cond
}

// newCable returns a cable to the server with that address.
func newCable(t *testing.T, to string) *cable { return slowCable(t, to, 0) }

// slowCable returns a cable that delays everything from the server.
func slowCable(t *testing.T, to string, delay time.Duration) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{listener: l, to: to, delay: delay, ends: map[net.Conn]bool{}}
	c.resume = sync.NewCond(&c.mu)
	var pumps sync.WaitGroup
	pumps.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil || !c.add(near, far) {
				_ = near.Close()
				if err == nil {
					_ = far.Close()
				}
				continue
			}
			pumps.Go(func() { c.pump(near, far, c.delay) })
			pumps.Go(func() { c.pump(far, near, 0) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
		pumps.Wait()
	})
	return c
}

func (c *cable) url() string { return "nats://" + c.listener.Addr().String() }

func (c *cable) add(ends ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isCut {
		return false
	}
	for _, e := range ends {
		c.ends[e] = true
	}
	return true
}

// pump copies data from one end to the other. After each delay it reads all data that
// waits, so a delay adds latency and does not limit the throughput.
func (c *cable) pump(to, from net.Conn, delay time.Duration) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if delay > 0 {
			<-time.After(delay)
		}
		c.mu.Lock()
		for c.silent && !c.isCut {
			c.resume.Wait()
		}
		c.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut cuts the cable: both ends notice, and no connection can be made until mend.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	for e := range c.ends {
		_ = e.Close()
	}
	clear(c.ends)
	c.resume.Broadcast()
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut, c.silent = false, false
	c.resume.Broadcast()
}

// hush stops all data without closing the connections, so neither end notices.
func (c *cable) hush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = true
}

// address returns the address on which the server listens.
func address(s *embedded.Server) string { return strings.TrimPrefix(s.URL(), "nats://") }

// connectTo returns another connection like nc.
func connectTo(t *testing.T, nc *nats.Conn) *nats.Conn {
	t.Helper()
	second, err := nc.Opts.Connect()
	require.NoError(t, err)
	t.Cleanup(second.Close)
	return second
}
