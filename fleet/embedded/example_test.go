package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats.go"
)

// Shout is the kind that callers and workers of the examples share.
var Shout = fleet.Kind[string, string]{Name: "shout", Errors: []error{ErrHoarse}}

var ErrHoarse = errors.New("hoarse")

// shout is the handler of the workers.
func shout(ctx context.Context, in string) (string, error) {
	if in == "" {
		return "", fmt.Errorf("nothing to say: %w", fleet.NoRetry(ErrHoarse))
	}
	return strings.ToUpper(in) + "!", nil
}

// startShouting starts a server and a worker in this process, and returns a
// connection to the server.
func startShouting(opts ...dispatch.Option) (nc *nats.Conn, end func()) {
	dir, err := os.MkdirTemp("", "shout")
	if err != nil {
		log.Fatal(err)
	}
	server, err := embedded.Start(embedded.Options{Dir: dir, LazySync: true})
	if err != nil {
		log.Fatal(err)
	}
	if nc, err = server.Connect(nats.Name("worker 1")); err != nil {
		log.Fatal(err)
	}
	if err := Shout.Provision(context.Background(), nc, fleet.Settings{}); err != nil {
		log.Fatal(err)
	}
	pool := dispatch.Must(dispatch.New(shout, opts...))
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error)
	go func() { over <- fleet.Serve(ctx, nc, Shout, pool) }()
	return nc, func() {
		stop()
		if err := <-over; err != nil {
			log.Fatal(err)
		}
		_ = pool.Close()
		nc.Close()
		_ = server.Close()
		_ = os.RemoveAll(dir)
	}
}

// How do I run jobs on other machines?
func Example_call() {
	nc, end := startShouting() // elsewhere: nats.Connect, and workers that call fleet.Serve
	defer end()
	ctx := context.Background()

	client, err := fleet.NewClient(ctx, nc, Shout)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	pool := dispatch.Must(dispatch.New(client.Call, dispatch.WithWorkers(64)))
	defer pool.Close()

	outs, err := pool.Map(ctx, []string{"hello", "out", "there"})
	fmt.Println(outs, err)
	// Output: [HELLO! OUT! THERE!] <nil>
}

// What do I get when the handler fails on the worker?
func Example_failure() {
	nc, end := startShouting()
	defer end()
	ctx := context.Background()
	client, err := fleet.NewClient(ctx, nc, Shout)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_, err = client.Call(ctx, "")
	fmt.Println(errors.Is(err, ErrHoarse))
	if remote, ok := errors.AsType[*fleet.RemoteError](err); ok {
		fmt.Printf("%s, attempt %d: %s\n", remote.Worker, remote.Attempt, remote.Message)
	}
	// Output:
	// true
	// worker 1, attempt 1: nothing to say: hoarse
}

// How do I store a job without waiting for it, and only once?
func Example_send() {
	nc, end := startShouting()
	defer end()
	ctx := context.Background()
	client, err := fleet.NewClient(ctx, nc, Shout)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	for range 2 { // the second Send finds the job there and stores nothing
		id, err := client.Send(ctx, "ship it", fleet.ID("order 17"))
		fmt.Println(id, err)
	}
	out, err := client.Result(ctx, "order 17") // from any process
	fmt.Println(out, err)
	// Output:
	// order 17 <nil>
	// order 17 <nil>
	// SHIP IT! <nil>
}

// What happens to jobs that fail for good, and how do I run them again?
func Example_deadLetters() {
	nc, end := startShouting()
	defer end()
	ctx := context.Background()
	client, err := fleet.NewClient(ctx, nc, Shout)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	id, err := client.Send(ctx, "", fleet.ID("empty"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Result(ctx, id)
	fmt.Println(errors.Is(err, fleet.ErrDead))
	for letter, err := range Shout.Dead(ctx, nc) {
		fmt.Println(letter.ID, letter.Attempts, letter.Reason, string(letter.Data), err)
	}
	fmt.Println(Shout.Requeue(ctx, nc, "empty"))
	// Output:
	// true
	// empty 1 nothing to say: hoarse "" <nil>
	// <nil>
}

// How do I shut a worker down?
func Example_drain() {
	dir, err := os.MkdirTemp("", "shout")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := embedded.Start(embedded.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	nc, err := server.Connect()
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	if err := Shout.Provision(context.Background(), nc, fleet.Settings{}); err != nil {
		log.Fatal(err)
	}

	// In a program of its own: signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM).
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	pool := dispatch.Must(dispatch.New(shout, dispatch.WithWorkers(8)))
	defer pool.Close()
	fmt.Println(fleet.Serve(ctx, nc, Shout, pool)) // running jobs have ended, jobs on their way have gone back
	// Output: <nil>
}

// What can a handler learn about its job?
func Example_jobInfo() {
	handler := func(ctx context.Context, in string) (string, error) {
		if job, ok := fleet.Info(ctx); ok {
			return fmt.Sprintf("%s: attempt %d", job.ID, job.Attempt), nil
		}
		return "not of the fleet", nil
	}
	out, _ := handler(context.Background(), "")
	fmt.Println(out)
	// Output: not of the fleet
}

// How do I see the state of a kind?
func Example_stats() {
	nc, end := startShouting(dispatch.WithWorkers(8))
	defer end()
	stats, err := Shout.Stats(context.Background(), nc)
	fmt.Println(stats.Waiting, stats.Taken, stats.Oldest, stats.Dead, err)
	// Output: 0 0 0s 0 <nil>
}

// How do I restrict what each side may do?
func Example_rights() {
	rights := Shout.WorkerRights()
	options := embedded.Options{
		Dir: "/var/lib/shout", Listen: "127.0.0.1:4222",
		Users: []embedded.User{{Name: "worker", Password: os.Getenv("WORKER_PASSWORD"), Rights: &rights}},
	}
	// The worker connects with nats.Connect(url, nats.UserInfo("worker", password), nats.CustomInboxPrefix(rights.Inbox)).
	fmt.Println(options.Users[0].Rights.Subscribe)
	// Output: [_INBOX_FLEET_shout_WORKER.> fleet.shout.cancel.*]
}
