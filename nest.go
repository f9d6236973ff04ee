package dispatch

import (
	"context"
	"slices"
)

// A job that waits for its own pool lends its place to what it waits for. That
// is taken out of turn and run at once by one more worker, on top of the limit:
// a job's own goroutine would do as well, were it not that runtime.Goexit in
// the inner job would end the outer one. A job has one place, so it has at most
// one such run at a time; if it waits for several things, from goroutines of
// its own, they take turns with the loan. What waits can therefore never depend
// on a place that it holds itself, at any depth, and the number of handlers
// that are running and not waiting never exceeds the limit by a loan.

// insideKey is the key under which a job's context gives its task.
type insideKey struct{}

// enclosing returns the running job of this pool that ctx descends from, also
// through jobs of other pools; nil if there is none.
func (l *ledger) enclosing(ctx context.Context) *task {
	for {
		t, _ := ctx.Value(insideKey{}).(*task)
		if t == nil || t.ledger == l && t.inside() {
			return t
		}
		ctx = t.caller
	}
}

// loan is the lending of a job's place. Guarded by ledger.mu.
type loan struct {
	used  bool       // something runs on the place now
	waits []waitable // what the job waits for; those that have used the loan come last
}

// waitable is something that a job can wait for: another job, a batch, room in
// the queue.
type waitable interface {
	// forward has the pool run a piece of it that has not started, on the
	// place of the job that lends. It returns false if there is none. The
	// mutex is held.
	forward(lender *task) bool
}

// lend notes that t waits for x, until endLoan.
func (l *ledger) lend(t *task, x waitable) {
	l.mu.Lock()
	l.lendLocked(t, x)
	l.mu.Unlock()
}

func (l *ledger) lendLocked(t *task, x waitable) {
	if t.loan == nil {
		t.loan = new(loan)
	}
	t.loan.waits = append(t.loan.waits, x)
	l.useLoan(t)
}

// useLoan runs something on the place that t lends, if t waits for something
// that has not started and nothing runs there yet. The mutex is held.
func (l *ledger) useLoan(t *task) {
	if t.loan.used || !t.inside() {
		return
	}
	for i, x := range t.loan.waits {
		if x.forward(t) {
			t.loan.used = true
			// The others come first the next time.
			t.loan.waits = append(slices.Delete(t.loan.waits, i, i+1), x)
			return
		}
	}
}

// borrow takes the place that t lends, for the caller to use; false if
// something runs there already. The mutex is held.
func (t *task) borrow() bool {
	if t.loan == nil {
		t.loan = new(loan)
	}
	if t.loan.used || !t.inside() {
		return false
	}
	t.loan.used = true
	return true
}

// endLoan notes that t waits for x no more.
func (l *ledger) endLoan(t *task, x waitable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.loan.forget(x)
}

func (n *loan) forget(x waitable) {
	if i := slices.Index(n.waits, x); i >= 0 {
		n.waits = slices.Delete(n.waits, i, i+1)
	}
}
