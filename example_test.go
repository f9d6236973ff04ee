package dispatch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
	"testing/fstest"
	"time"

	"example.com/dispatch"
)

// The examples are the manual: each answers one question. Those that leave out
// error handling do so for brevity.

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

// How do I fan out a batch and take the results as they come?
func ExampleBatch_Results() {
	square := func(_ context.Context, n int) (int, error) { return n * n, nil }
	p := dispatch.Must(dispatch.New(square, dispatch.WithWorkers(4)))
	defer p.Close()

	b := p.Batch(context.Background())
	go func() {
		defer b.Close() // no more inputs; the channel is closed after the last result
		for n := range 4 {
			_ = b.Add(n)
		}
	}()
	for r := range b.Results() {
		fmt.Println(r.In, "->", r.Out)
	}
	// Unordered output:
	// 0 -> 0
	// 1 -> 1
	// 2 -> 4
	// 3 -> 9
}

// How do I take the results of a batch in the order of its inputs?
func ExampleBatch_All() {
	parse := func(_ context.Context, s string) (time.Duration, error) { return time.ParseDuration(s) }
	p := dispatch.Must(dispatch.New(parse, dispatch.WithWorkers(4)))
	defer p.Close()

	b := p.Batch(context.Background())
	_ = b.Add("90s", "1.5h", "soon")
	for r := range b.All() {
		if r.Err != nil {
			fmt.Printf("%d: %v\n", r.Index, r.Err)
			continue
		}
		fmt.Printf("%d: %v\n", r.Index, r.Out)
	}
	// Output:
	// 0: 1m30s
	// 1: 1h30m0s
	// 2: time: invalid duration "soon"
}

// How do I get everything that worked and every error?
func ExampleBatch_Wait() {
	check := func(_ context.Context, port int) (string, error) {
		if port > 65535 {
			return "", fmt.Errorf("no such port: %d", port)
		}
		return fmt.Sprint(":", port), nil
	}
	p := dispatch.Must(dispatch.New(check))
	defer p.Close()

	b := p.Batch(context.Background())
	_ = b.Add(80, 70000, 443, 99999)
	outs, err := b.Wait(context.Background())
	fmt.Printf("%q\n", outs)
	fmt.Println(err)
	// Output:
	// [":80" "" ":443" ""]
	// item 1: no such port: 70000
	// item 3: no such port: 99999
}

// How does the first error stop a batch?
func ExampleStopOnError() {
	upload := func(_ context.Context, file string) (string, error) {
		if file == "b.txt" {
			return "", errors.New("disk full")
		}
		return "stored " + file, nil
	}
	// One worker, so that the files are uploaded one after another.
	p := dispatch.Must(dispatch.New(upload, dispatch.WithWorkers(1)))
	defer p.Close()

	b := p.Batch(context.Background(), dispatch.StopOnError())
	_ = b.Add("a.txt", "b.txt", "c.txt")
	for r := range b.All() {
		fmt.Printf("%s: %q %v\n", r.In, r.Out, r.Err)
	}
	// Output:
	// a.txt: "stored a.txt" <nil>
	// b.txt: "" disk full
	// c.txt: "" dispatch: another input has stopped the batch
}

// How do I ask several and take the first answer?
func ExampleStopOnSuccess() {
	ask := func(ctx context.Context, mirror string) (string, error) {
		switch mirror {
		case "broken":
			return "", errors.New("connection refused")
		case "slow":
			<-ctx.Done() // given up once another mirror has answered
			return "", ctx.Err()
		}
		return "answer of " + mirror, nil
	}
	p := dispatch.Must(dispatch.New(ask, dispatch.WithWorkers(3)))
	defer p.Close()

	b := p.Batch(context.Background(), dispatch.StopOnSuccess())
	_ = b.Add("broken", "slow", "fast")
	b.Close()
	for r := range b.Results() {
		if r.Err == nil {
			fmt.Println(r.Out)
		}
	}
	// Output: answer of fast
}

// How do I show progress?
func ExampleOnProgress() {
	resize := func(_ context.Context, file string) (string, error) {
		if strings.HasSuffix(file, ".txt") {
			return "", errors.New("not an image")
		}
		return "small-" + file, nil
	}
	p := dispatch.Must(dispatch.New(resize))
	defer p.Close()

	// Calls never overlap and the numbers never fall; here they only go into a
	// variable. The last call comes before Wait returns.
	var last dispatch.Progress
	b := p.Batch(context.Background(), dispatch.OnProgress(func(now dispatch.Progress) { last = now }))
	_ = b.Add("a.png", "b.png", "c.txt")
	_, _ = b.Wait(context.Background())
	fmt.Printf("%d of %d done, %d failed\n", last.Done, last.Total, last.Failed)
	// Output: 3 of 3 done, 1 failed
}

// How do I turn one slice into another?
func ExamplePool_Map() {
	parse := func(_ context.Context, s string) (time.Duration, error) { return time.ParseDuration(s) }
	p := dispatch.Must(dispatch.New(parse))
	defer p.Close()

	ctx := context.Background()
	fmt.Println(p.Map(ctx, []string{"90s", "1.5h"}))

	_, err := p.Map(ctx, []string{"90s", "soon", "1.5h"}) // the first error cancels the rest
	if item, ok := errors.AsType[*dispatch.ItemError](err); ok {
		fmt.Printf("input %d: %v\n", item.Index, item.Err)
	}
	// Output:
	// [1m30s 1h30m0s] <nil>
	// input 1: time: invalid duration "soon"
}

// How do I go through an input that is too long for memory, or has no end?
func ExamplePool_Stream() {
	next := func(_ context.Context, n int) (int, error) {
		if n%2 == 0 {
			return n / 2, nil
		}
		return 3*n + 1, nil
	}
	p := dispatch.Must(dispatch.New(next, dispatch.WithWorkers(4)))
	defer p.Close()

	// At most twice four numbers are taken ahead of the loop.
	var naturals iter.Seq[int] = func(yield func(int) bool) {
		for n := 1; yield(n); n++ {
		}
	}
	for r := range p.Stream(context.Background(), naturals) {
		if r.Err != nil {
			fmt.Println(r.Index, r.In, r.Err)
			return
		}
		fmt.Print(r.Out, " ")
		if r.Out == 22 {
			break // cancels what was taken ahead
		}
	}
	fmt.Println()
	// Output: 4 1 10 2 16 3 22
}

// How do jobs that nobody waits for end before the program does?
func ExamplePool_Wait() {
	var sum atomic.Int64
	add := func(_ context.Context, n int) (struct{}, error) {
		sum.Add(int64(n))
		return struct{}{}, nil
	}
	p := dispatch.Must(dispatch.New(add))
	defer p.Close()

	ctx := context.Background()
	for n := range 101 {
		_, _ = p.Submit(ctx, n)
	}
	_ = p.Wait(ctx) // as a sync.WaitGroup that counts the jobs; the pool stays open
	fmt.Println(sum.Load())
	// Output: 5050
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

// What happens when the queue is full, and how do I not wait for room?
func ExamplePool_TrySubmit() {
	open := make(chan struct{})
	serve := func(_ context.Context, guest string) (string, error) {
		<-open
		return "served " + guest, nil
	}
	p := dispatch.Must(dispatch.New(serve, dispatch.WithWorkers(1), dispatch.WithQueue(1)))
	defer p.Close()

	ctx := context.Background()
	ada, _ := p.TrySubmit(ctx, "Ada")   // one worker
	bob, _ := p.TrySubmit(ctx, "Bob")   // and a queue of one
	_, err := p.TrySubmit(ctx, "Cindy") // take two jobs
	fmt.Println(err)

	close(open)
	fmt.Println(ada.Wait(ctx))
	fmt.Println(bob.Wait(ctx))
	// Output:
	// dispatch: queue is full
	// served Ada <nil>
	// served Bob <nil>
}

// How does a full queue turn callers away, so that a server sheds load?
func ExampleWithOverflow() {
	busy, release := make(chan struct{}), make(chan struct{})
	work := func(_ context.Context, _ string) (int, error) {
		close(busy)
		<-release
		return 200, nil
	}
	p := dispatch.Must(dispatch.New(work,
		dispatch.WithWorkers(1), dispatch.WithQueue(0), dispatch.WithOverflow(dispatch.Reject)))
	defer p.Close()

	ctx := context.Background()
	first, _ := p.Submit(ctx, "first")
	<-busy
	if _, err := p.Process(ctx, "second"); errors.Is(err, dispatch.ErrQueueFull) {
		fmt.Println("503 try again later")
	}
	close(release)
	fmt.Println(first.Wait(ctx))
	// Output:
	// 503 try again later
	// 200 <nil>
}

// How do I keep the newest jobs where the old ones are worth less?
func ExampleWithOverflow_dropOldest() {
	started, release := make(chan struct{}), make(chan struct{})
	draw := func(_ context.Context, frame int) (string, error) {
		if frame == 1 {
			close(started)
			<-release
		}
		return fmt.Sprint("drew frame ", frame), nil
	}
	p := dispatch.Must(dispatch.New(draw,
		dispatch.WithWorkers(1), dispatch.WithQueue(1), dispatch.WithOverflow(dispatch.DropOldest)))
	defer p.Close()

	ctx := context.Background()
	one, _ := p.Submit(ctx, 1)
	<-started
	two, _ := p.Submit(ctx, 2)   // waits in the queue
	three, _ := p.Submit(ctx, 3) // takes its place
	close(release)
	for _, f := range []*dispatch.Future[string]{one, two, three} {
		out, err := f.Wait(ctx)
		fmt.Printf("%q %v\n", out, err)
	}
	// Output:
	// "drew frame 1" <nil>
	// "" dispatch: job dropped from the full queue
	// "drew frame 3" <nil>
}

// How do I shut down and lose nothing?
func ExamplePool_Close() {
	var stored atomic.Int32
	store := func(_ context.Context, _ string) (struct{}, error) {
		stored.Add(1)
		return struct{}{}, nil
	}
	p := dispatch.Must(dispatch.New(store))

	ctx := context.Background()
	for _, record := range []string{"a", "b", "c"} {
		_, _ = p.Submit(ctx, record)
	}
	_ = p.Close() // runs all that was accepted
	_, err := p.Submit(ctx, "d")
	fmt.Println(stored.Load(), err)
	// Output: 3 dispatch: pool is closed
}

// How do I shut down within a budget of time?
func ExamplePool_Shutdown() {
	started := make(chan struct{})
	send := func(ctx context.Context, mail string) (struct{}, error) {
		close(started)
		<-ctx.Done() // a server that does not answer
		return struct{}{}, ctx.Err()
	}
	p := dispatch.Must(dispatch.New(send, dispatch.WithWorkers(1)))

	sending, _ := p.Submit(context.Background(), "invoice")
	<-started
	waiting, _ := p.Submit(context.Background(), "newsletter")

	budget, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println("shutdown:", p.Shutdown(budget)) // spent: becomes a Stop
	fmt.Println("unsent:", p.Stop())
	<-p.Done() // the handler has heeded its context

	for _, f := range []*dispatch.Future[struct{}]{sending, waiting} {
		_, err := f.Wait(context.Background())
		fmt.Println(err)
	}
	// Output:
	// shutdown: context deadline exceeded
	// unsent: [newsletter]
	// dispatch: pool stopped
	// dispatch: pool stopped
}

// How do I stop at once and keep what has not been started?
func ExamplePool_Stop() {
	started := make(chan struct{})
	crawl := func(ctx context.Context, _ string) (int, error) {
		close(started)
		<-ctx.Done()
		return 0, context.Cause(ctx) // ErrStopped
	}
	p := dispatch.Must(dispatch.New(crawl, dispatch.WithWorkers(1)))

	ctx := context.Background()
	for _, page := range []string{"/", "/about", "/news"} {
		_, _ = p.Submit(ctx, page)
	}
	<-started
	fmt.Println("to be crawled next time:", p.Stop())
	fmt.Println("given back once:", p.Stop())
	<-p.Done()
	// Output:
	// to be crawled next time: [/about /news]
	// given back once: []
}

// May a job wait for jobs of its own pool?
func ExamplePool_Map_insideJob() {
	tree := fstest.MapFS{
		"go.mod":          {Data: make([]byte, 10)},
		"doc/guide.md":    {Data: make([]byte, 200)},
		"doc/img/box.png": {Data: make([]byte, 3000)},
	}
	// The size of a folder is that of its files and of its folders, which are
	// jobs of the same pool.
	var p *dispatch.Pool[string, int64]
	size := func(ctx context.Context, dir string) (total int64, err error) {
		entries, err := tree.ReadDir(dir)
		if err != nil {
			return 0, err
		}
		var dirs []string
		for _, entry := range entries {
			if entry.IsDir() {
				dirs = append(dirs, path.Join(dir, entry.Name()))
				continue
			}
			var info fs.FileInfo
			if info, err = entry.Info(); err != nil {
				return 0, err
			}
			total += info.Size()
		}
		sizes, err := p.Map(ctx, dirs) // with the job's own context
		for _, n := range sizes {
			total += n
		}
		return total, err
	}
	p = dispatch.Must(dispatch.New(size, dispatch.WithWorkers(1))) // one is enough
	defer p.Close()

	fmt.Println(p.Process(context.Background(), "."))
	// Output: 3210 <nil>
}

// What becomes of a panic?
func ExamplePanicError() {
	first := func(_ context.Context, words []string) (string, error) { return words[0], nil }
	// Panics are logged, too; here the log is thrown away.
	p := dispatch.Must(dispatch.New(first, dispatch.WithLogger(slog.New(slog.DiscardHandler))))
	defer p.Close()

	_, err := p.Process(context.Background(), nil)
	if panicked, ok := errors.AsType[*dispatch.PanicError](err); ok {
		fmt.Println(panicked.Value)
		fmt.Println("a stack:", len(panicked.Stack) > 0)
	}
	if _, ok := errors.AsType[runtime.Error](err); ok {
		fmt.Println("a panic of the Go runtime")
	}
	fmt.Println(p.Process(context.Background(), []string{"still", "alive"}))
	// Output:
	// runtime error: index out of range [0] with length 0
	// a stack: true
	// a panic of the Go runtime
	// still <nil>
}

// How do I hear of every panic in one place?
func ExampleWithPanicHandler() {
	job := func(_ context.Context, n int) (int, error) { panic(fmt.Sprint("no idea what to do with ", n)) }
	p := dispatch.Must(dispatch.New(job, dispatch.WithPanicHandler(func(e *dispatch.PanicError) {
		fmt.Println("report:", e.Value)
	})))
	defer p.Close()

	_, _ = p.Submit(context.Background(), 13) // nobody reads this future
	_ = p.Wait(context.Background())
	// Output: report: no idea what to do with 13
}

// What if a job ends its goroutine, as a failing assertion of a test does?
func ExamplePool_Process_goexit() {
	job := func(_ context.Context, n int) (int, error) {
		if n < 0 {
			runtime.Goexit()
		}
		return n, nil
	}
	p := dispatch.Must(dispatch.New(job, dispatch.WithWorkers(1)))
	defer p.Close()

	_, err := p.Process(context.Background(), -1)
	fmt.Println(errors.Is(err, dispatch.ErrGoexit))
	fmt.Println(p.Process(context.Background(), 1)) // the worker has been replaced
	// Output:
	// true
	// 1 <nil>
}

// How do I live with a handler that ignores its context?
func ExampleWithGrace() {
	started, hung := make(chan struct{}), make(chan struct{})
	scan := func(_ context.Context, file string) (string, error) {
		if file == "/dev/tape" {
			close(started)
			<-hung // whatever its context says
		}
		return "scanned " + file, nil
	}
	p := dispatch.Must(dispatch.New(scan, dispatch.WithWorkers(1),
		dispatch.WithGrace(time.Millisecond, 1))) // at most one is written off at a time
	defer p.Close() // waits for strays as well

	ctx := context.Background()
	tape, _ := p.Submit(ctx, "/dev/tape")
	<-started
	tape.Cancel()
	fmt.Println(p.Process(ctx, "a.txt")) // on a worker that takes its place
	fmt.Println("strays:", p.Stats().Strays)
	close(hung)
	// Output:
	// scanned a.txt <nil>
	// strays: 1
}

// How do I change the number of workers while the pool works?
func ExamplePool_Resize() {
	met := make(chan string)
	// Each caller gets the name of the other: with one worker they cannot meet.
	meet := func(_ context.Context, name string) (string, error) {
		select {
		case met <- name:
			return <-met, nil
		case other := <-met:
			met <- name
			return other, nil
		}
	}
	p := dispatch.Must(dispatch.New(meet, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx := context.Background()
	ada, _ := p.Submit(ctx, "Ada")
	bob, _ := p.Submit(ctx, "Bob")
	if err := p.Resize(2); err != nil {
		fmt.Println(err)
	}
	fmt.Println(ada.Wait(ctx))
	fmt.Println(bob.Wait(ctx))
	// Output:
	// Bob <nil>
	// Ada <nil>
}

// How do I watch a pool?
func ExamplePool_Stats() {
	parse := func(_ context.Context, s string) (time.Duration, error) { return time.ParseDuration(s) }
	p := dispatch.Must(dispatch.New(parse, dispatch.WithName("parser")))
	defer p.Close()

	for _, s := range []string{"1s", "2m", "later"} {
		_, _ = p.Process(context.Background(), s)
	}
	s := p.Stats()
	fmt.Printf("%s is %v: %d queued, %d running\n", s.Name, s.State, s.Queued, s.Running)
	fmt.Printf("%d submitted: %d succeeded, %d failed\n", s.Submitted, s.Succeeded, s.Failed)
	// Output:
	// parser is running: 0 queued, 0 running
	// 3 submitted: 2 succeeded, 1 failed
}

// Where do the pool's log lines go?
func ExampleWithLogger() {
	withoutTimeAndStack := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "stack" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimeAndStack}))

	job := func(context.Context, int) (int, error) { panic("oops") }
	p := dispatch.Must(dispatch.New(job, dispatch.WithName("demo"), dispatch.WithLogger(logger)))
	defer p.Close()

	_, err := p.Process(context.Background(), 1)
	fmt.Println(err)
	// Output:
	// level=ERROR msg="dispatch: job panicked" panic=oops pool=demo
	// dispatch: job panicked: oops
}
