// Package fleet runs a pool's jobs on other machines. A program moves from one
// machine to many by passing another function to [dispatch.New].
//
//	var Thumb = fleet.Kind[string, Image]{Name: "thumb"}             // in a package that both sides import
//
//	err := Thumb.Provision(ctx, nc, fleet.Settings{})                // creates the streams, before anything else
//
//	client, err := fleet.NewClient(ctx, nc, Thumb)                   // a caller
//	pool, err := dispatch.New(client.Call, dispatch.WithWorkers(64)) // at most 64 calls of this program at once
//	img, err := pool.Process(ctx, "a.png")                           // or Submit, Batch, Map, Stream: it is an ordinary pool
//
//	pool, err := dispatch.New(makeThumb, dispatch.WithWorkers(8))    // a worker: an ordinary pool ...
//	err = fleet.Serve(ctx, nc, Thumb, pool)                          // ... that runs jobs of the fleet until ctx ends
//
//	id, err := client.Send(ctx, "b.png", fleet.ID("order-17"))       // without waiting for the outcome; nil: the server has stored it
//	img, err := client.Result(ctx, "order-17")                       // later, from any process
//
// The engine is NATS JetStream (nats-server 2.11 or newer). Package
// example.com/dispatch/fleet/embedded runs a server inside a program. nc is a
// nats.go connection. Connect it with nats.MaxReconnects(-1), or it gives up on
// a server that is away for two minutes. Also pass nats.Name: results and errors
// name the worker by it.
//
//	caller's pool ──► Client.Call ──► stream of jobs ──► Serve ──► worker's pool ──► handler
//	      ▲                                                                            │
//	      └─────────── result, in a message; stored if the caller is away ◄────────────┘
//
// # Two modes
//
// Call is for a caller that waits. Its context bounds the life of the job, and the
// first failure is the answer. Send is for a job that nobody waits for. After a
// failure the job is retried, after 1 s, 16 s, 81 s and so on, at most an hour. When
// its attempts are used up it becomes a dead letter, which can be inspected
// ([Kind.Dead]) and queued again ([Kind.Requeue]). A handler overrides this with
// [Retry] and [NoRetry].
//
// Both sides are ordinary pools. The number of workers of a caller's pool limits its
// calls at a time; further jobs wait in the caller's memory. Limits, timeouts, Stats
// and loggers work as usual. Use Send for work that must outlive the caller.
//
// # Choose by need
//
//   - Set up a kind of jobs, once or at each start: [Kind.Provision].
//   - Run a job and wait for its outcome: [Client.Call], as the handler of a pool.
//   - Have a job done some time later: [Client.Send]; only once for one order: [ID];
//     not before tomorrow: [After].
//   - Get the result of a sent job: [Client.Result]; cancel it: [Client.Cancel].
//   - Run jobs on this machine: [Serve]; learn a job's id and attempt in its handler: [Info].
//   - Watch a kind: [Kind.Stats]; inspect failed jobs: [Kind.Dead].
//   - Measure where the time of a call went, and trace across machines: [Hooks].
//   - Restrict who may do what: [Kind.CallerRights], [Kind.WorkerRights].
//
// # Promises
//
// Each is checked by tests that carry its number.
//
// F1, stored. When Send has returned nil, the server has the job: on its disk,
// unless it syncs lazily, and on as many servers as Settings.Replicas says. The job
// is started at least once if a worker ever runs, unless the job is canceled or the
// store is lost. On ErrTooLarge, dispatch.ErrQueueFull and an error of the codec
// nothing is stored. After any other error the job may be stored: calling Send again
// with the id that was returned with the error makes no second job.
//
// F2, at least once. A job is started again when its worker dies, freezes or is cut
// off for longer than the lease, when the server is killed while the job runs, when
// the pool is stopped while it runs the job, and as Retry and the retry pauses say.
// Two runs may then overlap. In no other case is a job started again: a drain repeats
// nothing, and a kill repeats only what was in flight there.
//
// F3, one outcome. The first outcome counts, for Call and for every Result. Later
// ones are dropped.
//
// F4, no result is lost while its caller is away for less than Settings.KeepFor. A
// worker acknowledges a job only after the caller has confirmed the result or the
// store has it. However long the store is down or full, the worker keeps the result,
// and the job's place in its pool.
//
// F5, one id, one job: while the job is delayed, waits or runs, and then for as long
// as its result is kept. A Send with an id that is taken stores nothing and returns
// nil.
//
// F6, free workers only. A worker process holds at most as many jobs as its pool may
// run at once, and follows Resize within a second. It takes no job for a pool worker
// whose handler still runs after its job has ended. No job waits in one process while
// another process is free.
//
// F7, drain. When Serve's context ends, Serve starts nothing new, lets running jobs
// end, and returns jobs on their way to it to the server at once. Stop and Shutdown of
// the pool hand its jobs to other workers at once, whatever the lease. A job that is
// handed back has not used up an attempt, as long as the note of that is kept
// (Settings.KeepFor).
//
// F8, cancel and deadline. When Call's context is done, Call returns its cause at
// once, even without a server. A waiting job is deleted. A running job has its context
// canceled, if the message reaches its worker. The time left until the deadline
// travels with the job, so the caller's clock does not matter.
//
// F9, errors keep their meaning: see [RemoteError].
//
// F10, attempts. After Settings.Attempts failures and crashes together, a job becomes
// a dead letter with its input and last reason, and its outcome is ErrDead. A sent job
// that cannot be decoded, or whose error NoRetry marks, becomes one at once. A job that
// kills its process becomes one too, even if it was called. After a kill of the server
// the count may start again.
//
// F11, nothing that arrives over the wire harms either side. A malformed job becomes a
// dead letter, a malformed result an error.
//
// F12, reconnects. While the server is away, calls and sends keep trying until their
// context ends, and workers keep their jobs and results. All of them continue by
// themselves when the server is back: after a kill and a restart, a change of leader
// in a cluster, or a connection lost on either side.
//
// F13, each side has only the rights it needs. A worker cannot submit jobs or read
// others' results; a caller cannot take jobs.
//
// F14, after Close and after Serve's return no goroutine, subscription or timer is
// left. (If a caller left while its job was being stored, the client follows that job
// for at most 10 s.)
//
// # What it does not promise
//
//   - Exactly once. Use [JobInfo].ID as the key of an effect that must not happen twice.
//   - Order, or fairness between callers.
//   - That a context's values travel, except for those that [Hooks] put into headers. The
//     values of Serve's context reach the handler.
//   - That a server that syncs lazily survives a power cut without loss.
//   - That a job may call its own kind. It can fill the fleet with jobs that wait, because
//     a waiting job lends its place within a pool, not across machines. Give the jobs that
//     it calls another kind.
//   - That a handler that ignores its context can be stopped. It keeps its place. Without a
//     deadline or dispatch.WithJobTimeout it keeps its job too, forever.
//
// There are no priorities (make a kind for each class), no cron, no workflows, no
// large payloads (send the key of an object), and no rate limit across the fleet. Use
// River for jobs that commit with rows of a Postgres database, Temporal for workflows,
// and gRPC for calls without a queue.
//
// # The wire
//
// The streams are plain: FLEET_<kind>_JOBS, _RESULTS and _DEAD. The nats command shows
// everything in them. Clients in other languages can take part; the file docs/FLEET.md
// of the repository has the format, and what operators need to know.
package fleet
