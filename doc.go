// Package dispatch is a typed worker pool: a [Pool] turns inputs of one type
// into outputs of another, on a bounded number of workers.
//
//	p, err := dispatch.New(resize, dispatch.WithWorkers(8)) // resize is a func(context.Context, string) (Image, error)
//	if err != nil {
//		return err
//	}
//	defer p.Close()
//
//	img, err := p.Process(ctx, "a.png")                     // one job, wait for it
//	img, err = p.ProcessTimed(ctx, "a.png", time.Second)    // ... for a second at most
//	fut, err := p.Submit(ctx, "b.png")                      // a future: fut.Wait(ctx)
//	imgs, err := p.Map(ctx, names)                          // slice in, slice out, in order
//	b := p.Batch(ctx)                                       // fan-out, fan-in over a result channel
//
// # How a job meets a worker
//
//	Submit/Process ──► shared queue ─────┐
//	                                     ├──► dispatcher ◄── worker channel (idle workers)
//	Batch/Map ───────► list of batches ──┘        │
//	                                              └──► worker's inbox ──► handler ──► future / batch
//
// The dispatcher is a goroutine that pairs what waits with an idle worker, and
// starts a worker where none is idle and the limit allows it. It never holds a
// job without a worker, so N workers and a queue of Q take exactly N+Q jobs. A
// submitter that finds nothing waiting and a worker idle hands its job over
// itself; a worker that finishes takes the next job itself. While every worker is
// busy, submitters and workers keep out of each other's way: jobs are left at the
// door of the queue, which has a mutex of its own, and a worker takes all that
// have come when the queue has run dry. Jobs are taken in the order of their
// submission, and take turns with the items of batches and Maps, which wait in
// lists of their own and are claimed one by one without a mutex. A pool that is
// idle for its idle timeout holds no goroutine at all, and New starts none.
//
// # Choose by need
//
//   - One call, and wait for it: [Pool.Process]; with a limit of time: [Pool.ProcessTimed].
//   - Start now, ask later: [Pool.Submit] and [Future]; without ever blocking: [Pool.TrySubmit].
//   - A slice into a slice, or the first error: [Pool.Map].
//   - Results as they come, over a channel: [Pool.Batch] and [Batch.Results].
//   - Results in the order of the inputs, each as soon as it can be given: [Batch.All].
//   - All that worked, and all errors: [Batch.Wait].
//   - The first error, or the first success, ends the rest: [StopOnError], [StopOnSuccess].
//   - An input that is long or has no end: [Pool.Stream].
//   - A connection or a buffer for each worker: [NewWorkers].
//   - A full queue that refuses, drops or lets the caller wait for its job: [WithOverflow].
//   - A limit on every run: [WithJobTimeout]; a way out where it is ignored: [WithGrace].
//   - Until nothing is left to do: [Pool.Wait]; for good: [Pool.Close], [Pool.Shutdown], [Pool.Stop].
//
// # Promises
//
// Each is kept by tests that carry its number.
//
// G1, order of memory. In the terminology of [the Go memory model], the call
// that submits a job synchronizes before the call of its handler, and the return
// of the handler synchronizes before the return of every call that gives the
// outcome it has made, before the closing of [Future.Done], before the receive
// of its [Result], and before the return of Pool.Wait and Close. Where a cancel
// or a timeout makes the outcome, the handler may return later; Pool.Wait
// (strays aside) and Close wait for it all the same.
//
// G2, exactly one outcome. Either a call returns an error and the job never
// runs, or the job is accepted and reaches exactly one outcome, the same to
// every reader for ever: its output, an error of the handler (or of newWorker or
// Ready), a [*PanicError], [ErrGoexit], the cause of the caller's context,
// context.Canceled, a [*TimeoutError], [ErrDropped] or [ErrStopped]. [Stats]
// gives the sum.
//
// G3, the handler's context carries the caller's values and deadline. It is done
// when the caller's is, when the job is canceled or has timed out, when the pool
// stops, and once the handler has returned. context.Cause says which. Items of a
// batch or a Map that one worker handles in one go may share a context.
//
// G4, cancellation. A job whose context is done before it starts never runs. One
// that waits in the queue is resolved at that moment, not when its turn comes.
// The caller of one that runs is answered at once, and the handler is told; it
// keeps its worker until it returns. An item of a batch or a Map that runs may
// get its outcome when its handler returns.
//
// G5, an interrupt, cancel or deadline of one job is never seen by another,
// however close to the first one's end it comes.
//
// G6, timeouts are never early. A limit of zero or less is a timeout, and the
// job does not run. The earliest of the caller's deadline, ProcessTimed and
// WithJobTimeout decides, and the error tells which. What the handler returns
// after that is dropped; it may still be running.
//
// G7, panics. A panic of the handler, of newWorker or of Ready is the outcome of
// the job, with the stack of the goroutine that panicked; it is also logged, or
// given to the function of [WithPanicHandler]. A panic of any other hook is
// logged. The process and the worker live on.
//
// G8, a job that calls runtime.Goexit ends with ErrGoexit at once, and its
// worker is replaced.
//
// G9, nesting cannot deadlock. A job may wait for jobs of its own pool, with its
// own context or one derived from it, at any depth, also through a second pool
// and back, on a pool of one worker: by Process, ProcessTimed, Submit,
// Future.Wait, Map, Stream, Batch.Wait, All and Results. While it waits, it lends
// its place to what it waits for. A [Worker] is never entered again for that
// while it is in Process.
//
// G10, strays. With WithGrace, a handler that has not returned some time after
// its interrupt is written off, and a new worker takes its place; so many at a
// time and no more. Without it the limit of workers holds strictly.
//
// G11, Close loses nothing. It runs all that was accepted. Stop gives back every
// input that was accepted and never ran. Either may be called any number of
// times, from any goroutines, with submitters racing: every submit is run or
// refused.
//
// G12, nothing is left once [Pool.Done] is closed: no goroutine, timer or
// registration with a context. A future or a batch that nobody reads leaks
// nothing and blocks no worker; a slow reader of Results stops nobody. There is
// one exception: while a batch has more outcomes that are not read than its result
// channel has room for, a goroutine holds them, until they are read or the batch
// is canceled.
//
// G13, Resize disturbs and loses no job. It works at once upwards, and downwards
// as jobs end.
//
// G14, bounds. Never more handlers run at once than there are workers allowed;
// strays, lent places and [CallerRuns] come on top. What waits has no goroutine.
// The pool keeps no input or output alive after its delivery; a future keeps its
// output, and a batch its inputs and outputs, for as long as they are in use.
//
// G15, observers (Stats, Done, Progress) wait for no job, and counters never
// fall.
//
// G16, no lock is held while your code runs. There is no package-level
// goroutine, channel, timer or pool, and time is monotonic: pools work inside
// the bubbles of testing/synctest.
//
// # What it cannot do
//
//   - A handler that ignores its context keeps its worker until it returns: nothing
//     in Go ends a goroutine from outside. WithGrace bounds what that costs.
//   - A job that waits for its own pool in a way that cannot be recognised may wait for
//     ever: by a receive from [Future.Done], by [Pool.Close], with a context that does
//     not descend from its own, or by Results or All of a batch made with such a one.
//   - A job of a pool that is closing can submit nothing more to it: it gets [ErrClosed].
//   - An In and an Out of 64 KiB and more together do not travel in a Go channel, as a
//     Batch's results do. The compiler refuses a pool of them: use pointers.
//   - With several workers jobs start in order, and end as they end. All, Map and Stream
//     give the outcomes in order; for jobs that must run in order use one worker.
//
// # When not to use it
//
// A handful of unlike closures: golang.org/x/sync/errgroup, with SetLimit. One
// thing beside the others: a go statement and a sync.WaitGroup. A limit around
// code that stays where it is: golang.org/x/sync/semaphore. Jobs that must
// survive the process: a job queue with storage. The pool has no priorities,
// retries, rate limits or weights. A pool for each class of jobs serves for the
// first; the others go into the handler, with golang.org/x/time/rate and
// golang.org/x/sync/semaphore for the last two.
//
// [the Go memory model]: https://go.dev/ref/mem
package dispatch
