package main

// watching: telemetry and hooks.
var watching = []mutation{
	{"the time before the start is lost", "desk.go", `	d.wait.add(d.at.begun - d.at.added)
`, ``, "Stats.Wait has each job once"},
	{"a run is not counted", "desk.go", `	d.run.add(now - d.at.begun)
`, ``, "Stats.Run has each job that a worker turned to"},
	{"a run begins with the wait", "desk.go", `	d.run.add(now - d.at.begun)
`, `	d.run.add(now - d.at.added)
`, "Run begins when a worker turns to the job"},
	{"what no worker had is not counted", "desk.go", `	t.wait.add(now - added)
`, ``, "Stats.Wait has each job once"},
	{"the counts of a worker that leaves are lost", "desk.go", `	t.wait.merge(&d.wait)
	t.run.merge(&d.run)
}

// setLabels`, `}

// setLabels`, "counts never fall"},
	{"a worker that leaves is counted on", "desk.go", `	delete(t.desks, d)
`, ``, "counts of a worker that has left are not told twice"},
	{"items that are handled in one go are one run", "group.go", `			} else {
				w.desk.end(now)
			}
`, `			}
`, "Stats.Wait has each item once"},
	{"an item begins when the first of the run did", "group.go", `w.turn(t, &r.Context, c.ins[i], now)`, `w.turn(t, &r.Context, c.ins[i], s.Since()-1)`, "exact waits and runs"},
	{"a worker that is done is still at its job", "desk.go", `	was := d.at
	d.at, d.busy = work{}, false
	return was
`, `	was := d.at
	d.at = work{}
	return was
`, "Running tells of what runs"},
	{"a job that was taken away is still at its worker", "desk.go", `func (d *desk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.busy = work{}, false
`, `func (d *desk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
`, "Running tells of what runs"},
	{"Running tells of idle workers", "desk.go", `	if !d.busy {
		return Job{}, false
	}
	j = t.job`, `	j = t.job`, "Running tells of what runs"},
	{"Running does not say which are strays", "desk.go", `	j.Stray = stray
	if of`, `	if of`, "Running: strays"},
	{"Running tells the shortest first", "stats.go", `cmp.Compare(b.Run, a.Run)`, `cmp.Compare(a.Run, b.Run)`, "Running: longest first"},
	{"an inline call has no desk", "process.go", `	if p.tel != nil {
		w.openDesk()              // no labels are set: the caller's goroutine keeps its own
		defer p.tel.close(w.desk) // evaluated now: c may belong to another call when the deferred call runs
	}
`, ``, "inline jobs are told of too"},
	{"the desk of an inline call stays", "process.go", `		defer p.tel.close(w.desk) // evaluated now: c may belong to another call when the deferred call runs
`, ``, "Running tells of what runs"},
	{"the oldest of the queue does not count", life, `	if s.queue.first != nil {
		note(s.queue.first.Added())
	}
`, ``, "OldestWait: of the job that came first"},
	{"Failures keeps one too few", "desk.go", `const keptFailures = 8
`, `const keptFailures = 7
`, "Failures: the last eight of each outcome"},
	{"Failures keeps the first", "desk.go", `			kept = append(kept[:0], kept[1:]...)
`, `			kept = kept[:len(kept)-1]
`, "Failures: the last eight of each outcome"},
	{"Failures keeps successes", "desk.go", `	if j.Outcome != Succeeded {
`, `	if true {
`, "Failures: no success"},
	{"Failures are in no order", "stats.go", `b.ended().Compare(a.ended())`, `a.ended().Compare(b.ended())`, "Failures: the last first"},
	{"a label is made twice", "tell.go", `		if !j.Ran {
			j.Label`, `		if true {
			j.Label`, "a label is asked for once"},
	{"Done is told of by the worker and by who has ended the job", "tell.go", `	default:
		w.desk.leave()
	}
	w.state = resting
`, `	default:
		w.desk.leave()
		w.pool.tellUnstarted(t.Context().Caller(), in, -1, t.Added(), *o)
	}
	w.state = resting
`, "Done is told once"},
	{"Done is not told of what never ran", "tell.go", `	o := w.j.task.Outcome()
	w.p.tellUnstarted(w.ctx, w.in, -1, w.j.task.Added(), o)
`, ``, "Done is told of each job"},
	{"Done is not told of what a group has left", "group.go", `				g.pool.tellUnstarted(g.Caller(), s.chunk.ins[i], s.chunk.first+i, s.chunk.addedAt(i), o)
`, `				_, _ = s, i
`, "Done is told of each item"},
	{"Done is told with the caller's context", "tell.go", `	tel, ctx := w.pool.tel, w.desk.hooked
`, `	tel, ctx := w.pool.tel, context.Context(nil)
`, "Done gets the context that Start returned"},
	{"the handler has not the context of Start", "tell.go", `		ctx = tel.start(ctx, j, w.pool.hookPanicked)
`, `		tel.start(ctx, j, w.pool.hookPanicked)
`, "the handler gets the context that Start returned"},
	{"a hook's panic reaches the job", "desk.go", `			if err := guard.Call(func() { done(ctx, j) }); err != nil {
				report(err)
			}
`, `			done(ctx, j)
`, "a hook's panic harms no job"},
	{"a hook's panic is not logged", "desk.go", `			if err := guard.Call(func() { done(ctx, j) }); err != nil {
				report(err)
			}
`, `			_ = guard.Call(func() { done(ctx, j) })
`, "a hook's panic is logged"},
	{"a hook that ends its goroutine changes what was told", "worker.go", `	if w.state == resting {
		w.yieldToTimeout(r)
	}
`, `	w.yieldToTimeout(r)
`, "an outcome stands when Done has been told"},
	{"a hook that ends its goroutine ends its caller's", "tell.go", `		guard.Apart(f)
	} else {`, `		f()
	} else {`, "a hook harms no caller"},
	{"an outcome is told before it is decided", "worker.go", `		w.decided = j.task.Decide()
		if w.decided {
			j.task.Leave(&w.outcome)`, `		if w.decided = true; w.decided {
			j.task.Leave(&w.outcome)`, "a single job's outcome is fixed before Done is told"},
	{"the items of a run are not told of", "group.go", `		if g.hooked {`, `		if false {`, "Done is told of each item, before the next begins"},
	{"a Map does not know of hooks", "map.go", `	if m.hooked = p.hooked(); p.tel`, `	if p.tel`, "Done is told of each item, before the next begins"},
	{"the wait for room does not count", "batch.go", `b.add(ins[:max(n, 0)], called)`, `b.add(ins[:max(n, 0)], max(called, b.now()))`, "Wait begins with the call of Add"},
	{"what waits in a draining pool has no age", life, `[]*list[Group]{&s.open, &s.closingGroups}`, `[]*list[Group]{&s.open}`, "OldestWait of a draining pool"},
	{"what came in the first moment has no age", scheduler, `epoch: time.Now().Add(-1), limit`, `epoch: time.Now(), limit`, "OldestWait of what came first"},
	{"the longest run is the last that was looked at", "stats.go", `			s.LongestRun = max(s.LongestRun, now-d.at.begun)
`, `			s.LongestRun = now - d.at.begun
`, "Stats.LongestRun"},
}

// measuring: Histogram.
var measuring = []mutation{
	{"a bound belongs to the next bucket", "histogram.go", `	case frac <= 0.5:
		k -= 4`, `	case frac < 0.5:
		k -= 4`, "the upper bound of a bucket belongs to it"},
	{"a bucket too low", "histogram.go", `	k := 4 * exp
`, `	k := 4*exp - 1
`, "bucket k holds up to 2^(k/4) s"},
	{"a bound is wrong", "histogram.go", `0.5946035575013605: //`, `0.6: //`, "bucket k holds up to 2^(k/4) s"},
	{"a short duration has no bucket", "histogram.go", `	if d <= 0 {
		return minBucket
	}
	// d is`, `	if d <= 0 {
		return maxBucket
	}
	// d is`, "no time is in the first bucket"},
	{"the sum is not kept", "histogram.go", `	t.counts[bucketOf(d)-minBucket]++
	t.addSum(d)
`, `	t.counts[bucketOf(d)-minBucket]++
`, "Sum is exact"},
	{"a merge loses the sum", "histogram.go", `		t.counts[i] += c
	}
	t.addSum(other.sum)
`, `		t.counts[i] += c
	}
`, "Sum is exact"},
	{"a quantile is one rank off", "histogram.go", `		if c >= rank {
			break
		}
`, `		if c > rank {
			break
		}
`, "Quantile: nearest rank"},
	{"Sub adds", "histogram.go", `		since.counts[i] -= min(c, since.counts[i])
`, `		since.counts[i] += c
`, "Sub: what came since"},
}
