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
//	Process, Submit ─┬─ a worker is idle ──► taken from the worker channel, job in hand ─┐
//	                 └─ none is ──► shared queue ──► a worker that becomes free ─────────┼─► handler ─► future / batch
//	Batch, Map ──────── group of items ──► takes turns with the queue ───────────────────┘
//	                      idle workers are called from the worker channel, each by the
//	                      one before; the dispatcher starts and retires workers, pairs
//	                      what is left with idle ones, and ends the pool
//
// A job meets its worker in one of three ways. It is handed over: the submitter
// takes an idle worker from the worker channel, gives it the job, and wakes it. Or
// a worker follows on: it finishes a job and takes the next one from the queue
// itself. Or the job is dispatched. If a worker has been woken and has not come
// yet, Submit leaves the job to it: it calls the next idle worker before it runs
// its own job, as long as jobs are left. So short jobs wake few workers, and long
// ones get one each. The dispatcher, a goroutine of the pool, does the rest: it
// starts a worker if none is idle and the limit allows one, and gives out slots
// where more jobs wait than one step deals with, as after Resume.
//
// The dispatcher never holds a job itself, so a pool with N workers and a queue of
// Q accepts exactly N+Q jobs. A slot is the right to run one job; there are N. A
// job that is accepted while a slot is free gets it at that moment, whether or not
// a worker has been started for it. After that it is not dropped, refused or held
// back by a Resize.
//
// Workers take jobs in the order of submission. With one worker the handlers are
// also called in that order; with several, the Go scheduler decides which handler
// is called first. The items of batches, Maps and streams wait in
// their group, are claimed one by one, and take turns with the queue.
//
// New starts no goroutine. An open pool that has been idle for its idle timeout,
// without a minimum of workers, holds none.
//
// # Choose by need
//
// One job:
//
//   - Run it and wait: [Pool.Process]; with a time limit: [Pool.ProcessTimed].
//   - Start it now and wait later: [Pool.Submit] and [Future]; fail at once if the queue is full: [Pool.TrySubmit].
//   - Closures instead of inputs: New([Call][Out]); a handler without an output: New([Do](f)).
//
// Many:
//
//   - Map a slice to a slice, or get the first error: [Pool.Map].
//   - Results in the order of completion, from a channel: [Pool.Batch] and [Batch.Results].
//   - Results in the order of the inputs, each as soon as it can be given: [Batch.All].
//   - All outputs, and all errors: [Batch.Wait]. To select on the end: [Batch.Done].
//   - A slice that is complete, as a batch: [Pool.BatchOf].
//   - Stop at the first failure, or at the first success: [StopOnError], [StopOnSuccess].
//   - Limit how many jobs of a batch run at once: [MaxRunning]; hold back a producer that is too fast: [MaxPending].
//   - A long or endless sequence of inputs: [Pool.Stream]; inputs from a channel: [Pool.StreamChan].
//     [Unordered] yields outcomes in the order of completion, [LookAhead] sets how far the stream runs ahead.
//
// Workers and limits:
//
//   - A connection or a buffer for each worker: [NewWorkers]; ready before the first job: [WithMinWorkers] and [Pool.Prestart].
//   - What a full queue does (block, reject, drop the oldest, run the job in addition): [WithOverflow];
//     a limit on blocked submitters: [WithMaxBlocked].
//   - A time limit on every run: [WithJobTimeout]; a new worker where a handler ignores it: [WithGrace].
//   - Short handlers, run on the caller's goroutine: [WithInline].
//
// The pool's life:
//
//   - Wait until nothing is queued or running: [Pool.Wait]. Start no jobs for a while: [Pool.Pause], [Pool.Resume].
//   - Refuse new jobs, finish the accepted ones, and do not wait: [Pool.Drain]; wait: [Pool.Close]; wait for a
//     limited time: [Pool.Shutdown]. Stop now, and get back the inputs that never ran: [Pool.Stop]. Stop when a
//     context ends: [WithContext].
//
// To see what it does: [Pool.Stats], and "Watching a pool" below.
//
// # Promises
//
// Each is checked by tests that carry its number: go test -run 'TestG09' runs those of G9.
//
// G1, order of memory. In the terminology of [the Go memory model], the call
// that submits a job synchronizes before the call of its handler. The return of
// the handler synchronizes before the return of every call that returns the
// outcome it has made, before the closing of [Future.Done], before the receive of its
// [Result], and before the return of Pool.Wait and Close. Where a cancel or a
// timeout makes the outcome, the handler may return later; Pool.Wait (strays
// aside) and Close wait for it all the same.
//
// G2, exactly one outcome. A call returns an error and the job never runs, or
// the job is accepted and reaches exactly one outcome, the same for every reader
// forever: its output, an error of the handler (or of newWorker or Ready), a
// [*PanicError], [ErrGoexit], the cause of the caller's context,
// context.Canceled, a [*TimeoutError], [ErrDropped], [ErrHalted] or [ErrStopped].
// While no handler runs past its job's outcome, [Stats] adds up: Submitted is the sum
// of the outcomes, Queued and Running.
//
// G3, the handler's context carries the caller's values and deadline. It is done
// when the caller's is, when the job is canceled or has timed out, when the pool
// stops, and once the handler has returned. context.Cause says which. After
// the handler's return it is done whenever Done is called, also by a goroutine that
// outlives the handler. Items of a batch, a Map or a stream that one worker handles in
// one go may share a context, which is done when the worker leaves them; with a
// job timeout each has its own. Where one item's failure stops its siblings
// (StopOnError, Map), that failure is their cause.
//
// G4, cancellation. A job whose context is done before it starts never runs. A
// queued job has its outcome for every reader as soon as it is canceled, not when
// its turn comes. The caller of a running job gets its answer at once. The handler is told
// through its context, and keeps its worker until it returns. A running item of a
// batch, a Map or a stream may get its outcome when its handler returns.
//
// G5, an interrupt, cancel or deadline of one job is never seen by another,
// however close to the first one's end it comes.
//
// G6, timeouts are never early. A limit of zero or less is a timeout, and the
// job does not run. The earliest of the caller's deadline, ProcessTimed and
// WithJobTimeout decides, and the error tells which. A context that names a
// deadline and does not end at it delays a limit by a millisecond at most. What
// the handler returns after the timeout is dropped; it may still be running.
//
// G7, panics. A panic of the handler, of newWorker or of Ready is the outcome of
// the job, with the stack of the goroutine that panicked; it is also logged, or
// given to the function of [WithPanicHandler]. A panic of any other hook is
// logged. User code is more than handlers: a method of a context or of an error that
// panics fails its own job at most, and a context that is done and whose Err is nil
// ends its job with an error, never with success. The process and the worker go on.
//
// G8, a job that calls runtime.Goexit ends with ErrGoexit at once, and its
// worker is replaced.
//
// G9, nesting cannot deadlock. A job may wait for jobs of its own pool, with its
// own context or one derived from it, at any depth, also through a second pool
// and back, on a pool of one worker: by Process, ProcessTimed, Submit,
// Future.Wait, Map, Stream, StreamChan, Batch.Wait, All and Results. While it
// waits, it lends its slot to what it waits for. A [Worker] is never called again
// while it is in Process. "Traps" lists the waits that cannot be recognised.
//
// G10, strays. With WithGrace, a handler that has not returned some time after its
// job was interrupted becomes a stray: a new worker takes its place. There are never
// more strays at a time than WithGrace allows. The time of an Interrupt method that
// hangs counts as its handler's. Without WithGrace the limit of workers holds strictly.
//
// G11, Close loses nothing. It runs every accepted job. Stop returns every
// input that was accepted before it and whose handler was not called: single jobs
// in the order of submission, then items. That includes inputs whose worker is
// still in Ready or in newWorker. (An item whose handler is just about to be called
// is called, with its context done.) Any number of goroutines may close and stop,
// any number of times, while others submit: every submitted job is run or refused.
//
// G12, nothing is left once [Pool.Done] is closed: no goroutine, timer or
// registration with a context. A future or a batch that nobody reads leaks
// nothing and blocks no worker; a slow reader of Results holds up nobody. There is
// one exception: while a batch has more unread outcomes than its result channel has
// room for, a goroutine holds them, until they are read or the batch is canceled.
//
// G13, Resize disturbs and loses no job. A higher limit takes effect at once, a lower
// one as jobs end.
//
// G14, bounds. There are never more handlers running than the limit of workers;
// strays, lent slots and [CallerRuns] come on top. However many jobs wait, and
// whatever contexts they have, the pool has a goroutine for each worker and a few
// more: jobs that share a context share one registration with it, and its
// end starts one goroutine for all of them. (For a context that is not of the
// standard library, the context package starts a goroutine for each registration.)
// The pool keeps no input or output alive after its delivery; a future keeps its
// output, and a batch its inputs and outputs, for as long as they are in use.
//
// G15, Stats, Done and Progress never wait for a job; counters never decrease.
//
// G16, no lock is held while your code runs. There is no package-level
// goroutine, channel, timer or pool, and time is monotonic: a pool that is made and
// closed inside a bubble of testing/synctest works there.
//
// G17, nobody waits long for the pool itself. Add, Results, Cancel, Stop, Close
// and Stats, and the end of a context that many share, hold the pool's mutex for
// a bounded piece of work at a time: with ten million items waiting, no other call
// waits longer than milliseconds. A worker counts as idle only when none of your
// code is left to run for its last job.
//
// # Watching a pool
//
// [Pool.Stats] returns a snapshot without waiting for any job: workers, running and
// waiting jobs, blocked submitters, limits, and a counter for each outcome. It answers
// these questions:
//
//   - Is the pool saturated? Running is MaxRunning, and Queued, Blocked or OldestWait grow.
//   - Does it refuse work? Rejected, Dropped or GaveUp grow.
//   - How long do jobs wait and run? Wait and Run are histograms with quantiles.
//   - Does a handler hang? LongestRun grows; [Pool.Running] says which job, for how long, and
//     whether its outcome is known already.
//   - What failed last, and why? [Pool.Failures] returns the last eight jobs of each outcome but success.
//
// Times, Running and Failures need [WithTelemetry], which reads the clock for each
// job. No input is ever shown unless [WithLabel] says how to describe one. [WithHooks]
// has the pool call functions before and after each job, for spans, log lines or
// counters of your own. Profiles of the program tell pools and workers apart by the
// labels dispatch.pool and dispatch.worker.
//
// Package [example.com/dispatch/page] shows pools on a live web page. Module
// example.com/dispatch/promdispatch exports them to Prometheus, and
// example.com/dispatch/oteldispatch to OpenTelemetry. Stats marshals as JSON, so
// expvar takes one line:
//
//	expvar.Publish("mails", expvar.Func(func() any { return p.Stats() }))
//
// # Inline calls
//
// [WithInline] has Process run its handler on the caller's goroutine when nothing
// waits and a slot is free. That saves two goroutine switches: use it for short
// handlers that compute. It changes three promises
// for such calls. G4: a cancel, a deadline and Stop reach the running handler
// through its context, but the caller is answered when the handler returns.
// G6: ProcessTimed never runs inline; Process under context.WithTimeout does, and
// returns when its handler does. G8: runtime.Goexit ends the caller's goroutine, and
// the job counts as ErrGoexit, and so does each job that it was nested in.
// Stats.Workers does not count callers.
//
// # What it cannot do
//
//   - A handler that ignores its context keeps its worker until it returns: nothing
//     in Go ends a goroutine from outside. WithGrace bounds what that costs.
//   - A job of a pool that is closing can submit nothing more to it: it gets [ErrClosed].
//   - An In and an Out of 64 KiB or more together do not fit into a Go channel, which
//     Batch.Results needs. The compiler refuses a pool of them: use pointers.
//   - With several workers jobs end in any order. All, Map and Stream give the outcomes in
//     order; for jobs that must run one after another use one worker.
//
// # Traps
//
//   - When a cancel or a timeout answers a caller, the handler may still run and use its
//     input. Do not reuse a buffer that the input holds.
//   - The handler's context ends with the handler. A job that submits follow-up jobs and
//     returns gives them context.WithoutCancel of its context, or its return cancels them. An output
//     that was made with the context and still needs it, such as an http.Response whose
//     body is unread, is of no use to the caller.
//   - A job that waits for its own pool in a way that the pool cannot recognise may wait
//     forever: by a receive from [Future.Done] or [Batch.Done], by [Pool.Close], with a context
//     that does not descend from its own, or by Results or All of a batch made with such a
//     context.
//   - Two pools whose jobs wait for each other, each with callers of its own, can deadlock:
//     every worker of one waits for the other.
//   - A hook must not wait for its own pool: a panic handler that calls Wait or Close, an
//     OnProgress that waits for the end of its batch or its pool, a function of [Hooks] that
//     waits for a job. The pool waits for the hook.
//   - The Interrupt method of a [Worker] must not wait for Process: the worker waits for Interrupt.
//   - An item that adds to its own batch under [MaxPending] can wait for itself.
//   - [Pool.Pause] does not wait: each worker may still start one job that it had taken before.
//   - A batch keeps its inputs and outcomes for as long as it is used. A service that feeds one
//     batch for as long as it runs, for a limit per tenant say, grows without bound; see [MaxRunning].
//   - [WithContext] ends the pool. Handlers' contexts do not descend from it: they carry the
//     values of their callers' contexts.
//   - A stream that was cut short yields a last Result with the Index -1 and the reason in Err.
//     A loop that does not check Err takes it for an output.
//
// # When not to use it
//
// A handful of different closures: golang.org/x/sync/errgroup, with SetLimit. One
// background task: a go statement and a sync.WaitGroup. Only a limit, around
// code that stays where it is: golang.org/x/sync/semaphore. Jobs that must
// survive the process or run on other machines: package example.com/dispatch/fleet, or a
// job queue with storage. The pool has no priorities, retries, rate limits or
// weights. For priorities, make a pool for each class of jobs. A retry library goes
// around the call of Process: a retry within the handler holds a worker in its
// pauses. Rate limits and weights go into the handler, with a library made for them.
//
// [the Go memory model]: https://go.dev/ref/mem
package dispatch
