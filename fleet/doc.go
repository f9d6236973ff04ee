// Package fleet runs a pool's jobs on other machines: a program goes from one
// machine to many by giving [dispatch.New] another function.
//
//	var Thumb = fleet.Kind[string, Image]{Name: "thumb"}             // in a package that both sides import
//
//	err := Thumb.Provision(ctx, nc, fleet.Settings{})                // makes the streams, before all else
//
//	client, err := fleet.NewClient(ctx, nc, Thumb)                   // a caller
//	pool, err := dispatch.New(client.Call, dispatch.WithWorkers(64)) // 64 jobs of this program under way at most
//	img, err := pool.Process(ctx, "a.png")                           // Submit, Batch, Map, Stream: the pool's own
//
//	pool, err := dispatch.New(makeThumb, dispatch.WithWorkers(8))    // a worker: an ordinary pool ...
//	err = fleet.Serve(ctx, nc, Thumb, pool)                          // ... that the fleet feeds, until ctx ends
//
//	id, err := client.Send(ctx, "b.png", fleet.ID("order-17"))       // nobody waits; nil: the server has stored it
//	img, err := client.Result(ctx, "order-17")                       // later, from any process
//
// The engine is NATS JetStream (a nats-server of 2.11 or newer); package
// example.com/dispatch/fleet/embedded runs one inside a program. nc is a
// connection of nats.go. Connect it with nats.MaxReconnects(-1), or it gives up on
// a server that is away for two minutes, and with nats.Name, which is the worker's
// name in results and errors.
//
//	caller's pool ──► Client.Call ──► stream of jobs ──► Serve ──► worker's pool ──► handler
//	      ▲                                                                            │
//	      └──────────── result, by a message; stored where the caller is away ◄────────┘
//
// # Two modes
//
// Call: somebody waits. The job lives as long as the caller's context, and the first
// failure is the answer. Send: nobody waits. A failed job is retried after 1 s, 16 s,
// 81 s and so on, at most an hour, and in the end becomes a dead letter, which can be
// inspected ([Kind.Dead]) and queued again ([Kind.Requeue]). A handler changes that
// with [Retry] and [NoRetry].
//
// Both sides are ordinary pools. So a caller has at most as many calls under way as
// its pool has workers, and further jobs wait in the caller's memory; limits,
// timeouts, Stats and loggers work as in any pool. Work that must outlive the caller
// is for Send.
//
// # Choose by need
//
//   - Set up a kind of jobs, once or at each start: [Kind.Provision].
//   - Run a job and wait for its outcome: [Client.Call], as the handler of a pool.
//   - Have a job done some time later: [Client.Send]; only once for one order: [ID];
//     not before tomorrow: [After].
//   - Get the result of a sent job: [Client.Result]; cancel it: [Client.Cancel].
//   - Run jobs on this machine: [Serve]; which job and attempt a handler has: [Info].
//   - Watch a kind: [Kind.Stats]; inspect failed jobs: [Kind.Dead].
//   - Measure where the time of a call went, and trace across machines: [Hooks].
//   - Restrict who may do what: [Kind.CallerRights], [Kind.WorkerRights].
//
// # Promises
//
// Each is checked by tests that carry its number.
//
// F1, stored. When Send has returned nil the server has the job: on its disk,
// unless it syncs lazily, and on as many servers as Settings.Replicas says. It is
// begun at least once if a worker is ever up, unless it is canceled or the store is
// lost. On ErrTooLarge, dispatch.ErrQueueFull and an error of the codec nothing is
// stored. After any other error it may be: Send again with the id that came with the
// error makes no second job.
//
// F2, at least once. A job is begun again when its worker dies, freezes or is cut
// off for longer than the lease, when the server is killed while it runs, when the
// pool is stopped under it, and as Retry and the pauses say. Two runs may then
// overlap. In no other case: a drain repeats nothing, and a kill only what was in
// flight there.
//
// F3, one outcome. The first one counts, for Call and for every Result. Later ones
// are dropped.
//
// F4, no result is lost while its caller is away for less than Settings.KeepFor: a
// worker acknowledges a job when its caller has confirmed the result or the store
// has it, and not before. It keeps the result, and the place in its pool, however
// long the store is down or full.
//
// F5, one id, one job: while it is delayed, waits or runs, and then for as long as
// its result is kept. A Send with an id that is taken stores nothing and returns
// nil.
//
// F6, free workers only. A worker holds at most as many jobs as its pool may run at
// once, follows Resize within a second, and takes none for a worker whose handler
// outlives its job. No job waits in one process while another is free.
//
// F7, drain. When Serve's context ends nothing new is begun, what runs ends, and
// what was on its way goes back at once. Stop and Shutdown of the pool hand its jobs
// to other workers at once, whatever the lease. What is handed back has not used up
// an attempt, as long as the note of it is kept (Settings.KeepFor).
//
// F8, cancel and deadline. When Call's context is done, Call returns at once with
// its cause, also with no server; a job that waits is deleted, one that runs is
// told, as far as the message gets there. What is left of the deadline travels, so
// the caller's clock does not matter.
//
// F9, errors keep their meaning: see [RemoteError].
//
// F10, attempts. After Settings.Attempts, failures and crashes together, a job is a
// dead letter with its input and last reason, and its outcome is ErrDead. One that
// cannot be decoded or is marked by NoRetry is one at once. A job that kills its
// process ends there too, also a called one. After a kill of the server the count
// may start again.
//
// F11, whatever comes over the wire harms neither side. A malformed job is a dead
// letter, a malformed result an error.
//
// F12, reconnects. While the server is away calls and sends go on trying until
// their context ends, workers keep what they have, and all go on by themselves when
// it is back: killed and started again, another leader of a cluster, a line that was
// cut on either side.
//
// F13, rights of each side are what it needs: a worker cannot make jobs or read
// others' results, a caller cannot take jobs.
//
// F14, nothing is left after Close and Serve's return: no goroutine, subscription or
// timer. (Of a call whose caller went while its job was being stored, for 10 s at
// most.)
//
// # What it does not promise
//
//   - Exactly once. [JobInfo].ID is the key for what must not happen twice.
//   - Order, and fairness between callers.
//   - That a context's values travel, but for what [Hooks] make of them. Those of
//     Serve's context reach the handler.
//   - That a lazily syncing server survives a power cut with all it had.
//   - A job that calls its own kind can fill the fleet with jobs that wait: places
//     are lent within a pool, not across machines. Use another kind for what it calls.
//   - A handler that ignores its context keeps its place, and where there is neither a
//     deadline nor dispatch.WithJobTimeout its job too, forever.
//
// There are no priorities (make a kind for each class), no cron, no workflows, no
// large payloads (send the key of an object), no rate limit over the fleet. For jobs
// that commit with rows of a Postgres database use River; for workflows Temporal;
// where nothing is to be queued, gRPC.
//
// # The wire
//
// The streams are plain: FLEET_<kind>_JOBS, _RESULTS and _DEAD, and the nats command
// shows all of it. Other languages can take part; the file docs/FLEET.md of the
// repository has the format, and what operators need to know.
package fleet
