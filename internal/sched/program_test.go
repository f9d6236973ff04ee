package sched

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is a sequence of operations on a machine, made of the bytes of a fuzzer.
type program struct {
	m    *machine
	data []byte
	log  []string // the operations

	jobs    []*testJob
	blocked map[*testJob]*blockedSubmitter // the submitters of jobs that had to wait for room
	groups  []*testGroup
	inline  []*Worker  // callers that run their own job
	loans   []func()   // each ends the wait of a job for something
	callers [2]*caller // their contexts

	refused      map[*testJob]bool // by an error of Accept
	entered      map[*testJob]bool // the handler was entered
	ownGoroutine map[*testJob]bool // the caller has run it
	outcomes     map[*testJob]Outcome

	marker *Task // of a Halt, while it is ending the single jobs
	halts  int   // steps of Halt that have been made
}

// in reports whether the pool has accepted a job.
func (p *program) in(j *testJob) bool {
	if b := p.blocked[j]; b != nil {
		return !b.link.listed() && b.err == nil && j.phase.Load() != offered && !p.refused[j]
	}
	return !p.refused[j]
}

func (p *program) next() int {
	if len(p.data) == 0 {
		return 0
	}
	b := p.data[0]
	p.data = p.data[1:]
	return int(b)
}

// pick returns one of xs, or the zero value if there is none.
func pick[T any](xs []T, arg int) (x T) {
	if len(xs) > 0 {
		x = xs[arg%len(xs)]
	}
	return x
}

func newProgram(t testing.TB, data []byte) *program {
	p := &program{
		data:    data,
		blocked: map[*testJob]*blockedSubmitter{}, refused: map[*testJob]bool{},
		entered: map[*testJob]bool{}, ownGoroutine: map[*testJob]bool{}, outcomes: map[*testJob]Outcome{},
		callers: [2]*caller{newCaller(), newCaller()},
	}
	shape, more := p.next(), p.next()
	cfg := Config{Limit: 1 + shape%3, Queue: shape / 3 % 4, MinWorkers: shape / 12 % 2, MaxStrays: more % 2}
	cfg.MinWorkers = min(cfg.MinWorkers, cfg.Limit)
	if more/2%3 == 1 {
		cfg.JobTimeout = time.Hour
	}
	p.m = newMachine(t, cfg)
	p.log = append(p.log, fmt.Sprintf("limit %d, queue %d, minimum %d, strays %d, job timeout %v",
		cfg.Limit, cfg.Queue, cfg.MinWorkers, cfg.MaxStrays, cfg.JobTimeout))
	return p
}

// operations are the steps of a program. An operation that is impossible as things are
// does nothing.
var operations = []struct {
	name string
	do   func(p *program, arg int)
}{
	{"submit", (*program).submit},
	{"submit", (*program).submit},
	{"submit from a job", (*program).submitNested},
	{"submitter looks", (*program).submitterLooks},
	{"dispatcher", func(p *program, _ int) {
		if p.m.awake() {
			p.m.decide()
		}
	}},
	{"dispatcher until it sleeps", func(p *program, _ int) {
		for p.m.awake() {
			p.m.decide()
		}
	}},
	{"worker", (*program).work},
	{"worker", (*program).work},
	{"worker", (*program).work},
	{"worker turns to its job", func(p *program, arg int) {
		if w := pick(p.m.live, arg); w != nil && p.m.look(w) {
			w.Turn()
		}
	}},
	{"worker claims without the mutex", func(p *program, arg int) {
		if w := pick(p.m.live, arg); w != nil && w.run != nil && !w.abandoned() {
			p.m.nextItem(w)
		}
	}},
	{"cancel", func(p *program, arg int) {
		if j := pick(p.jobs, arg); j != nil && !p.refused[j] && (p.blocked[j] == nil || p.in(j)) {
			j.Cancel()
		}
	}},
	{"a caller's context ends", func(p *program, arg int) {
		i := arg % len(p.callers)
		p.callers[i].end(p.m)
		p.callers[i] = newCaller()
	}},
	{"group", (*program).group},
	{"add to a group", func(p *program, arg int) {
		if g := pick(p.groups, arg); g != nil {
			_ = g.add(arg / 8 % 4)
		}
	}},
	{"halt a group", func(p *program, arg int) {
		if g := pick(p.groups, arg); g != nil {
			g.Halt(canceled)
		}
	}},
	{"forget a group", func(p *program, arg int) {
		if g := pick(p.groups, arg); g != nil {
			g.Forget(g.over, false)
		}
	}},
	{"a job waits", (*program).wait},
	{"a job waits no more", func(p *program, arg int) {
		if end := pick(p.loans, arg); end != nil {
			end()
			p.loans = slices.Delete(p.loans, arg%len(p.loans), arg%len(p.loans)+1)
		}
	}},
	{"inline", (*program).beginInline},
	{"inline", func(p *program, arg int) {
		if len(p.inline) > 0 {
			p.endInline(arg % len(p.inline))
		}
	}},
	{"resize", func(p *program, arg int) { p.m.Resize(1 + arg%4) }},
	{"pause", func(p *program, _ int) { p.m.Pause() }},
	{"resume", func(p *program, _ int) { p.m.Resume() }},
	{"drain", func(p *program, arg int) {
		if arg%4 == 0 {
			p.m.Drain()
		}
	}},
	{"stop", func(p *program, arg int) {
		if p.halts > 0 || arg%4 == 0 {
			p.halt()
		}
	}},
	{"prestart", func(p *program, _ int) { _, _ = p.m.Prestart() }},
	{"time passes", func(p *program, arg int) {
		p.m.advance(time.Duration(arg%3) * 30 * time.Minute)
		if p.m.asleep && p.m.timed {
			p.m.timer()
		}
	}},
	{"job timeout", func(p *program, arg int) {
		if w := pick(p.m.live, arg); w != nil && w.exec != nil {
			w.exec.expire()
		}
	}},
	{"grace ends", (*program).abandon},
	{"wait for the end of all jobs", func(p *program, _ int) {
		over := make(chan struct{})
		close(over)
		p.m.Wait(over)
	}},
	{"look", (*program).look},
}

func (p *program) step() {
	op := operations[p.next()%len(operations)]
	arg := p.next()
	p.log = append(p.log, fmt.Sprintf("%s %d", op.name, arg))
	op.do(p, arg)
	p.check()
}

func (p *program) submit(arg int) {
	a := Admission{Policy: Policy(arg % 4), Waits: arg/16%2 == 1}
	p.accept(&a, arg/4%4)
}

// accept submits a job, one in two with a caller's context that can end.
func (p *program) accept(a *Admission, of int) {
	a.Ctx = context.Background()
	if of < len(p.callers) {
		a.Ctx = p.callers[of]
		a.Done = p.callers[of].done
	}
	j := p.m.newJob(len(p.jobs), a.Ctx)
	if a.Done != nil && !a.Waits {
		j.Watch(a.Done)
	}
	p.jobs = append(p.jobs, j)
	b, err := p.m.admission(j, a)
	switch {
	case err != nil:
		p.refused[j] = true
		j.Unwatch()
	case b != nil:
		p.blocked[j] = b
	}
}

// handlers returns the contexts of the handlers that have been entered.
func (p *program) handlers() (handlers []*Context) {
	for _, w := range p.m.live {
		if t := w.Work.Task; t != nil && p.entered[t.job.(*testJob)] {
			handlers = append(handlers, t.ctx)
		} else if w.run != nil {
			handlers = append(handlers, &w.run.Context)
		}
	}
	for _, w := range p.inline {
		if p.entered[w.Work.Task.job.(*testJob)] {
			handlers = append(handlers, w.Work.Task.ctx)
		}
	}
	return handlers
}

func (p *program) submitNested(arg int) {
	if c := pick(p.handlers(), arg); c != nil {
		p.accept(&Admission{Caller: Caller{Outer: c}, Waits: true}, 2)
	}
}

// submitterLooks makes a submitter that waits for room see that its wait has ended, or
// give up.
func (p *program) submitterLooks(arg int) {
	for _, j := range p.jobs {
		b := p.blocked[j]
		if b == nil {
			continue
		}
		if arg--; arg%3 != 0 {
			continue
		}
		listed := b.link.listed()
		err := b.err
		if len(b.ready) == 0 || arg%2 == 0 {
			err = p.m.giveUpRoom(b, &canceled)
		}
		if b.loan != nil {
			p.m.endLoan(b.loan)
		}
		delete(p.blocked, j)
		if p.refused[j] = err != nil; p.refused[j] {
			j.Unwatch()
		} else {
			require.False(p.m.t, listed)
		}
		return
	}
}

func outcomeOf(arg int) Outcome {
	switch arg % 4 {
	case 1:
		return Outcome{Kind: Failed, Err: errTimeout}
	case 2:
		return Outcome{Kind: Panicked, Err: errTimeout}
	}
	return Outcome{}
}

// work makes a worker take its next step.
func (p *program) work(arg int) {
	w := pick(p.m.live, arg)
	if w == nil || !p.m.look(w) {
		return
	}
	arg /= 8
	if arg%8 == 7 && !w.Work.Leave {
		w.Broken()
	}
	t := w.Work.Task
	if t == nil || p.entered[t.job.(*testJob)] || t.Resolved() && arg%2 == 0 {
		if w.run != nil && arg%4 == 3 {
			p.m.finishItem(w, outcomeOf(arg), false)
			return
		}
		p.m.proceed(w, outcomeOf(arg))
		return
	}
	w.Begin(t)
	if w.Enter(t) {
		p.entered[t.job.(*testJob)] = true
	} else {
		p.m.finish(w, Outcome{})
	}
}

func (p *program) group(arg int) {
	if p.m.state != Running || len(p.groups) > 20 {
		return
	}
	g := p.m.newGroupOf(1+arg%3, p.callers[arg/3%2])
	g.stopOnError = arg/6%2 == 1
	p.groups = append(p.groups, g)
	require.NoError(p.m.t, g.add(arg/12%6))
	if arg/72%2 == 1 {
		g.KeepOpen(func() bool { return false })
		g.Watch(p.callers[arg/3%2].done)
	}
}

// wait makes a running job wait for another job, or for a group.
func (p *program) wait(arg int) {
	c := pick(p.handlers(), arg)
	if c == nil {
		return
	}
	arg /= 4
	if g := pick(p.groups, arg/2); g != nil && arg%2 == 0 {
		p.loans = append(p.loans, g.Lend(c))
	} else if j := pick(p.jobs, arg/2); j != nil && p.in(j) && p.blocked[j] == nil && &j.ctx != c {
		w := p.m.lend(c, &j.Task)
		p.loans = append(p.loans, func() { p.m.endLoan(w) })
	}
}

func (p *program) beginInline(arg int) {
	w := new(Worker)
	w.InitInline(p.m.Scheduler)
	j := p.m.newJob(len(p.jobs), context.Background())
	a := Admission{Ctx: context.Background()}
	if arg%2 == 1 {
		a.Outer = pick(p.handlers(), arg/2)
		a.Waits = true
	}
	p.jobs = append(p.jobs, j)
	if !w.Inline(&j.Task, &a) {
		p.refused[j] = true
		return
	}
	p.ownGoroutine[j] = true
	p.inline = append(p.inline, w)
	p.entered[j] = j.Enter()
}

func (p *program) endInline(i int) {
	w := p.inline[i]
	p.inline = slices.Delete(p.inline, i, i+1)
	t := w.Work.Task
	o := Outcome{}
	decided := t.Decide()
	if decided {
		t.Leave(&o)
	} else {
		t.Leave(nil)
	}
	w.FinishInline(&o, decided)
}

// halt is a step of Halt.
func (p *program) halt() {
	m := p.m
	switch p.halts {
	case 0:
		o := stopped
		if m.refuse(Stopping, o) {
			m.endRefusal()
		} else if _, on := m.stop(&o); !on {
			return
		}
	case 1:
		p.marker = &Task{stage: released}
		m.lock()
		m.queue.insert(p.marker, nil)
		m.unlock()
	case 2:
		for m.haltJobs(p.marker, &stopped) {
		}
	case 3:
		for m.haltGroups(&stopped) {
		}
		m.EndBackground()
	default:
		return
	}
	p.halts++
}

// abandon ends the grace of a handler, even of one that has returned.
func (p *program) abandon(arg int) {
	w := pick(p.m.live, arg)
	if w == nil || w.exec == nil || p.m.cfg.MaxStrays <= p.m.strays || w.abandoned() {
		return
	}
	generation := w.exec.generation
	if w.exec.endGrace == nil {
		generation-- // not the generation of anything that runs
	}
	w.abandon(context.Background(), generation)
}

// look checks what the pool tells about itself.
func (p *program) look(int) {
	c := p.census()
	now := p.m.Snapshot()
	ended, late := 0, 0
	for _, n := range now.Ended {
		ended += int(n)
	}
	for _, w := range append(slices.Clone(p.m.live), p.inline...) {
		if t := w.Work.Task; t != nil && t.Resolved() && (t.stage == handed || t.stage == begun) && !w.abandoned() {
			late++ // its handler runs past the job's outcome
		}
	}
	require.EqualValues(p.m.t, now.Submitted, ended+now.Queued+now.Running-late)
	require.Equal(p.m.t, c.Workforce, now.Workers)
	require.Equal(p.m.t, c.Running+c.ItemsIn, now.Running)
}
