package modeltest

import (
	"errors"
	"iter"
	"runtime"
	"time"

	"example.com/dispatch"
)

// newStream makes the group of a stream with the options that how encodes.
func (w *world) newStream(c *watched, how int) *group {
	g := w.newGroup(opStream, c)
	g.unordered = how%2 == 1
	g.channel = how/2%2 == 1
	g.ahead = how / 4 % 4 // 0: the default
	g.live = w.bold && g.channel && how/16%2 == 1
	return g
}

// streamOf starts the stream of g over the inputs that feed yields.
func (w *world) streamOf(g *group, feed iter.Seq[int], over <-chan struct{}) iter.Seq[dispatch.Result[int, int]] {
	var opts []dispatch.StreamOption
	if g.unordered {
		opts = append(opts, dispatch.Unordered())
	}
	if g.ahead > 0 {
		opts = append(opts, dispatch.LookAhead(g.ahead))
	}
	if !g.channel {
		return w.pool.Stream(g.ctx.plain(), feed, opts...)
	}
	ins := make(chan int)
	go w.feed(g, feed, ins, over)
	return w.pool.StreamChan(g.ctx.plain(), ins, opts...)
}

// feed is the source of a stream that reads from a channel. A live source pauses between
// inputs. One that stays open sends nothing more, until the stream is over.
func (w *world) feed(g *group, feed iter.Seq[int], ins chan<- int, over <-chan struct{}) {
	w.fed(g, 1, false)
	defer w.fed(g, -1, true)
	for id := range feed {
		if g.live {
			time.Sleep(ticks(id % 3))
		}
		select {
		case ins <- id:
		case <-over:
			return
		}
	}
	if g.open {
		w.fed(g, -1, false)
		<-over
		w.fed(g, 1, false)
	}
	close(ins)
}

// fed records that a source begins or ends.
func (w *world) fed(g *group, feeds int, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.feeds += feeds
	g.fed = over
}

// stream runs n jobs through a stream and breaks after some of them.
func (w *world) stream(g *group, b body, n, breakAfter int, parent *job) {
	over := make(chan struct{})
	w.setAhead(g)
	feed := func(yield func(int) bool) {
		for range n {
			select {
			case <-over:
				if !g.channel {
					w.fail("group %d: Stream asked for an input after it had returned", g.id)
				}
				return
			default:
			}
			j := w.join(g, b.sibling(len(g.items)), 1, parent)[0]
			w.mu.Lock()
			j.indirect = g.channel // the stream may not read it
			if parent != nil {
				parent.waiting = append(parent.waiting, j)
			}
			if !g.channel {
				w.take(g)
			}
			w.mu.Unlock()
			if !yield(j.id) {
				return
			}
			w.mu.Lock()
			j.indirect = false
			if g.channel {
				w.take(g)
			} else {
				j.accepted = w.phase // the stream has taken the next input, and is not about to end
			}
			w.mu.Unlock()
		}
	}
	told, ended := map[int]bool{}, false
	for r := range w.streamOf(g, feed, over) {
		switch {
		case ended:
			w.fail("group %d: Stream went on after it had said why it ends", g.id)
		case r.Index < 0:
			ended = true
			w.endOfStream(g, r, told)
			continue
		case told[r.Index] || !g.unordered && r.Index != len(told):
			w.fail("group %d: Stream yielded item %d after %d others", g.id, r.Index, len(told))
		}
		told[r.Index] = true
		w.result(g, r, never)
		if len(told) == breakAfter {
			break
		}
		w.mu.Lock()
		g.done++
		w.mu.Unlock()
	}
	close(over)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !ended && g.canceled == 0 {
		g.canceled = w.phase // ends the inputs that were taken and not yielded
	}
	for _, j := range g.items {
		j.over = true
	}
	if len(told) != n && len(told) != breakAfter && !ended {
		w.failf("group %d: Stream gave %d results of %d, and did not say why", g.id, len(told), n)
	}
}

// setAhead records how far a stream that is about to start looks ahead by default.
func (w *world) setAhead(g *group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case g.ahead > 0:
		g.bound = g.ahead
	case w.limit == dispatch.Unlimited || w.before == dispatch.Unlimited:
		g.bound = max(2*runtime.GOMAXPROCS(0), 2*5)
	default:
		g.bound = 2 * max(w.limit, w.before)
	}
}

// take records that the stream has taken an input. The caller holds mu.
func (w *world) take(g *group) {
	if g.taken++; g.taken-g.done > g.bound {
		w.failf("group %d: a stream that looks %d ahead has taken %d inputs, and the loop is done with %d outcomes", g.id, g.bound, g.taken, g.done)
	}
}

// endOfStream checks the result that says why a stream has ended before its inputs. If the
// pool accepts no more jobs, the stream has first yielded the outcomes of all accepted
// inputs.
func (w *world) endOfStream(g *group, r dispatch.Result[int, int], told map[int]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Index != -1 || r.In != 0 || r.Out != 0 {
		w.failf("group %d: Stream ended with %+v", g.id, r)
	}
	if g.ctx.tells(r.Err) {
		return
	}
	w.stoppedAt()
	if !errors.Is(r.Err, dispatch.ErrClosed) || w.closed == 0 {
		w.failf("group %d: Stream ended with %v", g.id, r.Err)
	}
	untold := 1 // one has been taken and refused
	if g.channel {
		untold++ // and one may be in the channel
	}
	for i, j := range g.items {
		if told[i] {
			continue
		}
		if j.starts > 0 || j.accepted != 0 || i < len(g.items)-untold {
			w.failf("%v: it was accepted, and its stream ended with %v before giving its outcome", j, r.Err)
		}
		j.refused = r.Err
	}
}
