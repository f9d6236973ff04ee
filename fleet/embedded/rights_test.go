package embedded_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// refusals collects the permission errors of a connection.
type refusals struct {
	mu   sync.Mutex
	errs []error
}

func (r *refusals) add(_ *nats.Conn, _ *nats.Subscription, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *refusals) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.errs...)
}

func TestF13EachSideHasTheRightsThatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	calls, works := tasks.CallerRights(), tasks.WorkerRights()
	server, admin := open(t, embedded.Options{LazySync: true, Users: []embedded.User{
		{Name: "caller", Password: "c", Rights: &calls},
		{Name: "worker", Password: "w", Rights: &works},
		{Name: "admin", Password: "a"},
	}})
	provision(t, admin, fleet.Settings{Attempts: 2, Lease: 500 * time.Millisecond})
	as := func(name, password, inbox string) (*nats.Conn, *refusals) {
		r := &refusals{}
		nc := connect(t, server.URL(), nats.UserInfo(name, password), nats.CustomInboxPrefix(inbox), nats.ErrorHandler(r.add))
		return nc, r
	}
	caller, callerRefused := as("caller", "c", calls.Inbox)
	works1, workerRefused := as("worker", "w", works.Inbox)

	// Each side does everything that it needs to do.
	j := newJournal(t)
	w := serve(t, works1, j.handler("w"), dispatch.WithWorkers(4))
	c := client(t, caller)
	_, err := callers(t, c, 8).Map(limited(t), many(50, task{}))
	require.NoError(t, err)
	_, err = c.Call(limited(t), task{Do: "retry once"})
	require.NoError(t, err)
	_, err = c.Send(limited(t), task{Do: "give up"}, fleet.ID("dies"))
	require.NoError(t, err)
	_, err = c.Result(limited(t), "dies")
	require.ErrorIs(t, err, fleet.ErrDead)
	_, err = c.Send(limited(t), task{N: 99, Nap: time.Hour}, fleet.ID("canceled"))
	require.NoError(t, err)
	requireSoon(t, func() bool { return j.beganAt(99, "w") }, "it does not run")
	require.NoError(t, c.Cancel(limited(t), "canceled"))
	_, err = c.Result(limited(t), "canceled")
	require.ErrorIs(t, err, context.Canceled)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = c.Call(ctx, task{Nap: time.Hour})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = c.Send(limited(t), task{N: 98, Nap: 300 * time.Millisecond}, fleet.ID("back"))
	require.NoError(t, err)
	requireSoon(t, func() bool { return j.beganAt(98, "w") }, "it does not run")
	w.pool.Stop()
	require.ErrorIs(t, w.wait(), dispatch.ErrClosed)
	works2, worker2Refused := as("worker", "w", works.Inbox)
	serve(t, works2, j.handler("w2"), dispatch.WithWorkers(4))
	_, err = c.Result(limited(t), "back")
	require.NoError(t, err)
	requireRest(t, admin)
	require.Empty(t, callerRefused.all())
	require.Empty(t, workerRefused.all())
	require.Empty(t, worker2Refused.all())

	// Each side tries what it must not do.
	refused := func(name, password, inbox string, f func(nc *nats.Conn)) {
		t.Helper()
		nc, r := as(name, password, inbox)
		f(nc)
		require.NoError(t, nc.FlushTimeout(patience))
		requireSoon(t, func() bool { return len(r.all()) > 0 }, "%s was allowed to", name)
		require.ErrorIs(t, r.all()[0], nats.ErrPermissionViolation)
	}
	publish := func(subject string) func(*nats.Conn) {
		return func(nc *nats.Conn) { require.NoError(t, nc.Publish(subject, nil)) }
	}
	subscribe := func(subject string) func(*nats.Conn) {
		return func(nc *nats.Conn) {
			_, err := nc.SubscribeSync(subject)
			require.NoError(t, err)
		}
	}
	for _, f := range []func(*nats.Conn){
		publish("fleet.tasks.job.x"), publish("fleet.tasks.cancel.x"), // submits and cancels no jobs
		subscribe("fleet.tasks.res.*"), subscribe("fleet.tasks.rep.>"), subscribe("fleet.tasks.job.*"), subscribe(">"),
		subscribe(calls.Inbox + ".>"),
		publish("$JS.API.STREAM.MSG.GET.FLEET_tasks_RESULTS"), // reads no results
		publish("$JS.API.STREAM.MSG.GET.FLEET_tasks_JOBS"), publish("$JS.API.STREAM.DELETE.FLEET_tasks_JOBS"),
		publish("$JS.API.STREAM.PURGE.FLEET_tasks_RESULTS"), publish("$JS.API.CONSUMER.MSG.NEXT.FLEET_other_JOBS.workers"),
		publish("fleet.other.res.x"),
	} {
		refused("worker", "w", works.Inbox, f)
	}
	for _, f := range []func(*nats.Conn){
		publish("$JS.API.CONSUMER.MSG.NEXT.FLEET_tasks_JOBS.workers"), publish("$JS.ACK.FLEET_tasks_JOBS.workers.1.1.1.1.1"), // takes no jobs
		subscribe("fleet.tasks.job.*"), subscribe(works.Inbox + ".>"), publish("fleet.tasks.dead.x"), publish("fleet.tasks.back.x.1"),
		publish("$JS.API.STREAM.DELETE.FLEET_tasks_JOBS"), publish("$JS.API.STREAM.UPDATE.FLEET_tasks_JOBS"),
		publish("$JS.API.CONSUMER.DELETE.FLEET_tasks_JOBS.workers"), publish("fleet.other.job.x"),
	} {
		refused("caller", "c", calls.Inbox, f)
	}
}
