package dispatch

import (
	"context"
	"sync/atomic"
)

// share is the stay of one worker with a batch or a map: the items that it
// handles in one go have the share's task as their context. In a pool with
// WithJobTimeout a share is a single item.
type share struct {
	task  task
	crew  *crew
	place link[share] // in the crew, while the stay lasts

	// at is the input of a Map that is being handled, plus one, for the error
	// of a Map that is ended by its caller's context.
	at atomic.Int64
}

// crew is the workers that are at a batch or a map. Guarded by ledger.mu.
type crew struct {
	shares list[share]
	hands  int      // workers that have claimed an item
	halted *verdict // how all of it was stopped; nil if it was not
}

// underway splits what has been claimed and not counted into items that are being
// handled and items that are done.
func (c *crew) underway(claimed int) (handling, done int) {
	handling = min(c.hands, claimed)
	return handling, claimed - handling
}

// halt interrupts the shares, now and to come. The mutex is held, and what it
// returns is called when it is released.
func (c *crew) halt(l *ledger, v verdict) (announce func()) {
	c.halted = &v
	var told []*task
	for s := range c.shares.all {
		if _, ok := l.decide(&s.task, v); ok {
			told = append(told, &s.task)
		}
	}
	return func() {
		for _, t := range told {
			t.announce(nil)
		}
	}
}

// mayStay tells whether the worker may handle many items in one go, without a look
// at the ledger: there is nothing to be done for each of them but to handle it,
// and its place is its own. One that is lent can be asked back after each.
func (w *worker[In, Out]) mayStay() bool {
	return w.seat == nil && w.impl != nil && !w.hand.extra
}

// stay returns the task of the worker's stay with the crew of what is in its
// hand, and begins it if need be.
func (w *worker[In, Out]) stay(caller context.Context, c *crew) *task {
	if w.share != nil {
		return &w.share.task
	}
	s := &share{crew: c}
	s.task.ledger, s.task.caller = &w.pool.ledger, caller
	s.task.claimed = true
	s.task.phase.Store(running)
	w.share = s

	w.pool.mu.Lock()
	c.shares.push(&s.place, s)
	if c.halted != nil {
		s.task.end(c.halted, settled, true)
	}
	w.pool.mu.Unlock()
	return &s.task
}

// leaveShare ends the worker's stay with the source that was in its hand, unless
// what it has now belongs to it. The mutex is held; endStay must follow when it
// is released.
func (w *worker[In, Out]) leaveShare(last source[In, Out]) {
	s := w.share
	if s == nil || w.hand.source == last && w.pool.cfg.jobTimeout == 0 {
		return
	}
	s.crew.shares.remove(&s.place)
	w.pool.finish(&s.task, &verdict{})
	w.share, w.past = nil, s
}

// endStay ends the context of a stay that leaveShare has ended.
func (w *worker[In, Out]) endStay() {
	if s := w.past; s != nil {
		w.past = nil
		s.task.leave()
	}
}
