package dispatch_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"example.com/dispatch"
)

// Handlers and workers that tests share.

// double is the handler of tests in which it does not matter what a job does.
func double(_ context.Context, in int) (int, error) { return 2 * in, nil }

// nap is a handler that takes as long as its input says, whatever its context
// says, and returns it.
func nap(_ context.Context, d time.Duration) (time.Duration, error) {
	time.Sleep(d)
	return d, nil
}

// heedfulNap is nap that ends with its context, and returns the cause.
func heedfulNap(ctx context.Context, d time.Duration) (time.Duration, error) {
	select {
	case <-time.After(d):
		return d, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// heedSecond returns its input a second later.
func heedSecond(ctx context.Context, in int) (int, error) {
	_, err := heedfulNap(ctx, time.Second)
	return in, err
}

// failOdd fails with errOdd for odd inputs.
func failOdd(_ context.Context, in int) (int, error) {
	if in%2 != 0 {
		return 0, errOdd
	}
	return in, nil
}

// untilDone is a handler that holds inputs above 0 until their context is done.
func untilDone(ctx context.Context, in int) (int, error) {
	if in > 0 {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	return in, nil
}

// held is a handler that records its input and returns it when the test lets it, whatever
// its context says. It holds every input. gated lets inputs of 0 through, so that
// requireSound can use the pool.
type held struct {
	notes[int]
	pass chan struct{}
}

func (h *held) handle(_ context.Context, in int) (int, error) {
	h.add(in)
	<-h.pass
	return in, nil
}

// entered returns the inputs whose handlers have been entered, in order.
func (h *held) entered() []int {
	synctest.Wait()
	return h.all()
}

// let has n handlers return.
func (h *held) let(n int) {
	for range n {
		h.pass <- struct{}{}
	}
	synctest.Wait()
}

// letAll has all handlers return, those that have not been entered as well.
func (h *held) letAll() { close(h.pass) }

func newHeld() *held { return &held{pass: make(chan struct{})} }

// gated is a handler that holds inputs above 0 until the test lets them go, and
// returns its input.
type gated struct {
	entered chan int // the inputs that are held
	pass    chan struct{}
	once    sync.Once
}

func (g *gated) handle(_ context.Context, in int) (int, error) {
	if in > 0 {
		g.entered <- in
		<-g.pass
	}
	return in, nil
}

// let has n of the handlers return.
func (g *gated) let(n int) {
	for range n {
		g.pass <- struct{}{}
	}
}

// open has all of them return, those that have not been entered as well.
func (g *gated) open() { g.once.Do(func() { close(g.pass) }) }

func newGated() *gated { return &gated{entered: make(chan int, 1<<10), pass: make(chan struct{})} }

// workerOf is a Worker of functions, each of which may be nil.
type workerOf struct {
	process   func(ctx context.Context, in int) (int, error)
	ready     func(ctx context.Context) error
	interrupt func()
	close     func() error
}

func (w *workerOf) Process(ctx context.Context, in int) (int, error) {
	if w.process == nil {
		return in, nil
	}
	return w.process(ctx, in)
}

func (w *workerOf) Ready(ctx context.Context) error {
	if w.ready == nil {
		return nil
	}
	return w.ready(ctx)
}

func (w *workerOf) Interrupt() {
	if w.interrupt != nil {
		w.interrupt()
	}
}

func (w *workerOf) Close() error {
	if w.close == nil {
		return nil
	}
	return w.close()
}

// workers returns a pool whose workers are all like w.
func workers(w *workerOf, opts ...dispatch.Option) *dispatch.Pool[int, int] {
	return dispatch.Must(dispatch.NewWorkers(func(context.Context) (dispatch.Worker[int, int], error) { return w, nil }, opts...))
}

// tool is a numbered Worker that records what happens to it.
type tool struct {
	workerOf
	id  int
	log *notes[string]
}

func (w *tool) note(what string) { w.log.add(fmt.Sprint(what, " ", w.id)) }

func (w *tool) Ready(ctx context.Context) error {
	w.note("ready")
	return w.workerOf.Ready(ctx)
}

func (w *tool) Process(ctx context.Context, in int) (int, error) {
	w.note("process")
	defer w.note("processed")
	return w.workerOf.Process(ctx, in)
}

func (w *tool) Interrupt() {
	w.note("interrupt")
	w.workerOf.Interrupt()
}

func (w *tool) Close() error {
	w.note("close")
	return w.workerOf.Close()
}

// toolbox makes tools that do what like does. They are numbered from 0, and record to log.
func toolbox(log *notes[string], like workerOf) func(context.Context) (dispatch.Worker[int, int], error) {
	var made atomic.Int64
	return func(context.Context) (dispatch.Worker[int, int], error) {
		w := &tool{workerOf: like, id: int(made.Add(1) - 1), log: log}
		w.note("new")
		return w, nil
	}
}
