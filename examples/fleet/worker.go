package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/modcache"
	"example.com/dispatch/fleet"
)

// workerVar is an environment variable that makes the program a worker. It is not a
// flag, because only the program itself starts workers.
const workerVar = "DISPATCH_FLEET_WORKER"

// orders is the configuration of a worker. The worker reads it from its standard
// input, which other users cannot read, unlike its arguments and environment.
type orders struct {
	Name, URL, User, Password string
	Places                    int
}

// work is the program of a worker. It takes jobs until it receives SIGTERM or its
// standard input ends; the latter means that the program that started it wants no more
// work done, or is gone. It reports on its standard output which zips it begins and
// ends.
func work(ctx context.Context, _ []string, std cli.Streams) error {
	// A terminal sends Ctrl-C to all processes. The worker ignores it: the process that
	// started the worker decides what to do.
	signal.Ignore(os.Interrupt)
	var o orders
	in := json.NewDecoder(std.In)
	if err := in.Decode(&o); err != nil {
		return fmt.Errorf("no orders: %w", err)
	}
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	go func() {
		_, _ = io.Copy(io.Discard, std.In)
		drain()
	}()

	nc, err := nats.Connect(o.URL, nats.UserInfo(o.User, o.Password), nats.Name(o.Name),
		nats.CustomInboxPrefix(checks.WorkerRights().Inbox), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	pool, err := dispatch.New(func(ctx context.Context, z modcache.Zip) (string, error) {
		fmt.Fprintln(std.Out, begins, z.Name)
		defer fmt.Fprintln(std.Out, ends, z.Name)
		return modcache.Check(ctx, z)
	}, dispatch.WithName(o.Name), dispatch.WithWorkers(o.Places))
	if err != nil {
		return err
	}
	defer pool.Close()
	return fleet.Serve(ctx, nc, checks, pool)
}

// The events that a worker reports for a zip, one per line.
const (
	begins = "begins"
	ends   = "ends"
)
