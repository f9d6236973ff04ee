package sched

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// finish drains the pool and checks that nothing is left.
func (p *program) finish() {
	m, t := p.m, p.m.t
	p.log = append(p.log, "the end")
	m.Resume()
	for len(p.inline) > 0 {
		p.endInline(0)
		p.check()
	}
	for p.halts > 0 && p.halts < 4 {
		p.halt()
		p.check()
	}
	m.Drain()
	p.check()
	for range 10_000 {
		if m.state == Ended {
			break
		}
		for m.awake() {
			m.decide()
			p.check()
		}
		for _, w := range slices.Clone(m.live) {
			if !m.look(w) {
				continue
			}
			if x := w.Work.Task; x != nil && !p.entered[x.job.(*testJob)] {
				w.Begin(x)
				p.entered[x.job.(*testJob)] = w.Enter(x)
			}
			m.proceed(w, Outcome{})
			p.check()
		}
	}
	require.Equal(t, Ended, m.state, "the pool does not end")
	require.NoError(t, m.Rest())
	require.Empty(t, m.live)
	for _, j := range p.jobs {
		require.Equal(t, p.in(j), p.in(j) && j.Resolved())
	}
	for _, g := range p.groups {
		require.True(t, g.over())
		g.Forget(nil, false)
	}
	kept := map[*Task]bool{}
	for _, x := range m.TakeUnstarted().Tasks {
		require.False(t, kept[x], "an input is given back once")
		kept[x] = true
	}
	for _, j := range p.jobs {
		require.Equal(t, j.kept, kept[&j.Task])
		j.Unwatch()
	}
	require.Empty(t, m.watches.byDone, "nothing is left with the callers' contexts")
	p.look(0)
}

func runProgram(t testing.TB, data []byte) {
	p := newProgram(t, data)
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(p.log, "\n"))
		}
	}()
	for len(p.data) > 0 {
		p.step()
	}
	p.finish()
}

// FuzzMachine turns bytes into operations. After each it checks that the counts of the
// scheduler are right, that no slot is free while something waits, and that every job
// has one outcome; and at the end that nothing is left.
func FuzzMachine(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 {
			data = data[:600]
		}
		runProgram(t, data)
	})
}

// seeds are programs to begin with: each operation after some jobs and a group, in
// pools of several shapes, and longer programs from a simple sequence of numbers.
func seeds() (seeds [][]byte) {
	for op := range operations {
		for _, shape := range []byte{0, 5, 16} {
			start := []byte{shape, byte(op), 0, 2, 13, 60, 0, 8, 5, 0, 6, 0, 6, 9}
			seeds = append(seeds, append(start, byte(op), 4, 6, 1, byte(op), 9, 5, 0, 6, 2))
		}
	}
	x := uint32(1)
	for range 60 {
		long := make([]byte, 400)
		for i := range long {
			x = x*1664525 + 1013904223
			long[i] = byte(x >> 24)
		}
		seeds = append(seeds, long)
	}
	return seeds
}
