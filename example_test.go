package dispatch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"example.com/dispatch"
)

// The examples are the manual: each answers one question. Some leave out error handling for
// brevity. This file has single jobs and workers. example_batch_test.go,
// example_map_test.go and example_stream_test.go have many jobs at once,
// example_pool_test.go has the pool itself, example_failure_test.go has failures, and
// example_telemetry_test.go shows how to watch a pool.

// What does it look like?
func Example() {
	ctx := context.Background()
	count := func(_ context.Context, line string) (int, error) {
		return len(strings.Fields(line)), nil
	}
	p, err := dispatch.New(count, dispatch.WithWorkers(4))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	n, err := p.Process(ctx, "to be or not to be")
	fmt.Println(n, err)

	ns, err := p.Map(ctx, []string{"that is the question", "whether 'tis nobler"})
	fmt.Println(ns, err)
	// Output:
	// 6 <nil>
	// [4 3] <nil>
}

// What does New refuse?
func ExampleNew() {
	upper := func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }

	_, err := dispatch.New(upper, dispatch.WithWorkers(0))
	fmt.Println(err)
	// Output: dispatch: WithWorkers(0): the limit must be at least 1
}

// How do I run one job and wait for it?
func ExamplePool_Process() {
	half := func(_ context.Context, n int) (int, error) {
		if n%2 != 0 {
			return 0, fmt.Errorf("%d is odd", n)
		}
		return n / 2, nil
	}
	p := dispatch.Must(dispatch.New(half))
	defer p.Close()

	for _, n := range []int{42, 7} {
		out, err := p.Process(context.Background(), n)
		fmt.Println(out, err)
	}
	// Output:
	// 21 <nil>
	// 0 7 is odd
}

// How do I limit the time of one call?
func ExamplePool_ProcessTimed() {
	fetch := func(ctx context.Context, host string) (string, error) {
		if host == "slow.example" {
			<-ctx.Done() // a server that does not answer
			return "", ctx.Err()
		}
		return "hello from " + host, nil
	}
	p := dispatch.Must(dispatch.New(fetch))
	defer p.Close()

	page, err := p.ProcessTimed(context.Background(), "fast.example", time.Minute)
	fmt.Println(page, err)

	_, err = p.ProcessTimed(context.Background(), "slow.example", 10*time.Millisecond)
	if timeout, ok := errors.AsType[*dispatch.TimeoutError](err); ok {
		fmt.Println("no answer within", timeout.Limit)
	}
	// Output:
	// hello from fast.example <nil>
	// no answer within 10ms
}

// How do I limit the run of every job?
func ExampleWithJobTimeout() {
	query := func(ctx context.Context, sql string) (int, error) {
		<-ctx.Done() // a query that takes too long
		return 0, ctx.Err()
	}
	p := dispatch.Must(dispatch.New(query, dispatch.WithJobTimeout(10*time.Millisecond)))
	defer p.Close()

	_, err := p.Process(context.Background(), "SELECT count(*) FROM stars")
	fmt.Println(errors.Is(err, dispatch.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

// How do I start a job now and ask for its outcome later?
func ExamplePool_Submit() {
	greet := func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil }
	p := dispatch.Must(dispatch.New(greet))
	defer p.Close()

	ctx := context.Background()
	ada, err := p.Submit(ctx, "Ada")
	if err != nil {
		fmt.Println("the job will not run:", err)
		return
	}
	bob, err := p.Submit(ctx, "Bob")
	if err != nil {
		fmt.Println("the job will not run:", err)
		return
	}
	// ... something else ...
	fmt.Println(ada.Wait(ctx))
	fmt.Println(bob.Wait(ctx))
	// Output:
	// Hello, Ada <nil>
	// Hello, Bob <nil>
}

// How do I wait for a future among other things?
func ExampleFuture_Done() {
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	p := dispatch.Must(dispatch.New(double))
	defer p.Close()

	ctx := context.Background()
	f, _ := p.Submit(ctx, 21)
	select {
	case <-f.Done():
		fmt.Println(f.Wait(ctx)) // does not block any more
	case <-time.After(time.Minute):
		fmt.Println("still waiting")
	}
	// Output: 42 <nil>
}

// How do I give up a job, whether it runs or waits?
func ExampleFuture_Cancel() {
	started := make(chan string, 2)
	download := func(ctx context.Context, file string) (int, error) {
		started <- file
		<-ctx.Done()
		return 0, ctx.Err()
	}
	p := dispatch.Must(dispatch.New(download, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx := context.Background()
	running, _ := p.Submit(ctx, "a.iso")
	waiting, _ := p.Submit(ctx, "b.iso")
	fmt.Println("started:", <-started)

	for _, f := range []*dispatch.Future[int]{waiting, running} {
		decided := f.Cancel()
		_, err := f.Wait(ctx)
		fmt.Println(decided, err, f.Cancel())
	}
	_ = p.Wait(ctx)
	fmt.Println("started after that:", len(started))
	// Output:
	// started: a.iso
	// true context canceled false
	// true context canceled false
	// started after that: 0
}

// What does the handler's context tell it?
func ExampleHandler() {
	type userKey struct{}
	started, told := make(chan struct{}), make(chan error, 1)
	handle := func(ctx context.Context, path string) (string, error) {
		if path == "/slow" {
			close(started)
			<-ctx.Done()
			told <- context.Cause(ctx)
			return "", ctx.Err()
		}
		return fmt.Sprint(path, " for ", ctx.Value(userKey{})), nil
	}
	p := dispatch.Must(dispatch.New(handle))
	defer p.Close()

	ctx := context.WithValue(context.Background(), userKey{}, "ada")
	fmt.Println(p.Process(ctx, "/home"))

	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		<-started
		cancel(errors.New("ada has closed the tab"))
	}()
	_, err := p.Process(ctx, "/slow")
	fmt.Println("caller: ", err)
	fmt.Println("handler:", <-told)
	// Output:
	// /home for ada <nil>
	// caller:  ada has closed the tab
	// handler: ada has closed the tab
}

// How do I run closures of one kind?
func ExampleCall() {
	ctx := context.Background()
	p := dispatch.Must(dispatch.New(dispatch.Call[string], dispatch.WithWorkers(4)))
	defer p.Close()

	name := "gopher"
	greeting, err := p.Process(ctx, func(context.Context) (string, error) { return "hello, " + name, nil })
	fmt.Println(greeting, err)
	// Output: hello, gopher <nil>
}

// What if a job has no output?
func ExampleDo() {
	remove := func(_ context.Context, name string) error { return os.Remove(name) }
	p := dispatch.Must(dispatch.New(dispatch.Do(remove)))
	defer p.Close()

	_, err := p.Process(context.Background(), "no/such/file")
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output: true
}

// counter is a worker with state of its own, which needs no lock.
type counter struct{ words map[string]int }

func (c *counter) Process(_ context.Context, line string) (int, error) {
	for word := range strings.FieldsSeq(line) {
		c.words[word]++
	}
	return len(c.words), nil
}

func (c *counter) Close() error {
	fmt.Println("closed with", len(c.words), "words")
	return nil
}

// How do I give each worker something of its own, a connection or a buffer?
func ExampleNewWorkers() {
	newCounter := func(context.Context) (dispatch.Worker[string, int], error) {
		fmt.Println("made")
		return &counter{words: make(map[string]int)}, nil
	}
	p := dispatch.Must(dispatch.NewWorkers(newCounter, dispatch.WithWorkers(1)))

	ctx := context.Background()
	fmt.Println(p.Process(ctx, "the cat and the hat"))
	fmt.Println(p.Process(ctx, "the dog"))
	_ = p.Close() // closes the workers, too
	// Output:
	// made
	// 4 <nil>
	// 5 <nil>
	// closed with 5 words
}

// terminal asks questions over a connection, whose methods take no context.
type terminal struct{ conn net.Conn }

// Ready is called before each job. An Interrupt of the job before is over.
func (t *terminal) Ready(context.Context) error { return t.conn.SetReadDeadline(time.Time{}) }

func (t *terminal) Process(_ context.Context, question string) (string, error) {
	if _, err := fmt.Fprintln(t.conn, question); err != nil {
		return "", err
	}
	return bufio.NewReader(t.conn).ReadString('\n') // blocks until Interrupt, if need be
}

// Interrupt is called from another goroutine when a job is to end early.
func (t *terminal) Interrupt() { _ = t.conn.SetReadDeadline(time.Now()) }

func (t *terminal) Close() error { return t.conn.Close() }

// How do I interrupt a call that takes no context?
func ExampleNewWorkers_interrupt() {
	dial := func(context.Context) (dispatch.Worker[string, string], error) {
		ours, theirs := net.Pipe()
		go func() { // somebody who answers some of the questions
			for lines := bufio.NewScanner(theirs); lines.Scan(); {
				if lines.Text() == "how old are you?" {
					fmt.Fprintln(theirs, "42")
				}
			}
		}()
		return &terminal{conn: ours}, nil
	}
	p := dispatch.Must(dispatch.NewWorkers(dial, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx := context.Background()
	_, err := p.ProcessTimed(ctx, "what is your secret?", 10*time.Millisecond)
	fmt.Println(errors.Is(err, dispatch.ErrTimeout))

	answer, err := p.Process(ctx, "how old are you?") // the only worker is free again
	fmt.Printf("%q %v\n", answer, err)
	// Output:
	// true
	// "42\n" <nil>
}

// What is the cheapest way to bound short calls?
func ExampleWithInline() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(4), dispatch.WithInline()))
	defer p.Close()

	out, err := p.Process(context.Background(), 21) // on this goroutine
	fmt.Println(out, err, p.Stats().Workers)
	// Output: 42 <nil> 0
}
