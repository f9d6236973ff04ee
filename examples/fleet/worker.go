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

// workerVar in the environment has the program be a worker. It is not a flag: only
// the program itself starts one.
const workerVar = "DISPATCH_FLEET_WORKER"

// orders are what a worker is told on its standard input, which others cannot
// read, unlike its arguments and environment.
type orders struct {
	Name, URL, User, Password string
	Places                    int
}

// work is the program of a worker. It takes jobs until SIGTERM, or until its
// standard input ends, which is how it learns that the program that started it
// wants no more, or is gone. It notes on its standard output what it begins and
// ends.
func work(ctx context.Context, _ []string, std cli.Streams) error {
	// A terminal sends Ctrl-C to all processes. What is to be done then is for the
	// one that started this one to say.
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

// What a worker notes of a zip, in a line of its own.
const (
	begins = "begins"
	ends   = "ends"
)
