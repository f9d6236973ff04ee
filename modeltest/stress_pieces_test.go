package modeltest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// TestStressPieces lets several goroutines add tiny items to one batch in small pieces
// while workers run them, readers of all kinds read them, and some event ends the batch in
// the middle: each reader gets each item once, and all readers get the same outcomes.
func TestStressPieces(t *testing.T) {
	noGoroutines(t)
	for i := range rounds(3_000) {
		within(t, time.Minute, "adding in pieces", func() { newPieces(t, uint64(i)).run() })
		if t.Failed() {
			break
		}
	}
}

const (
	pieceAdders = 3
	pieceItems  = 60 // of each adder; their inputs are numbered through
	pieceBad    = 41 // the input that fails, if one does
)

// middle is what happens to the batch while it grows.
type middle int

const (
	middleNothing middle = iota
	middleFailure        // with StopOnError
	middleSuccess        // with StopOnSuccess
	middleCancel
	middleContext
	middleSeal
	middlePoolClose
	middlePoolStop
	middles
)

// pieces is one round.
type pieces struct {
	t      *testing.T
	seed   uint64
	middle middle
	pool   *dispatch.Pool[int, int]
	batch  *dispatch.Batch[int, int]
	cancel context.CancelCauseFunc // of the batch's context
	unrun  []int                   // inputs that Stop returned

	starts [pieceAdders * pieceItems]atomic.Int32
	added  [pieceAdders]int // how many items of each were accepted
	over   chan struct{}    // closed when the readers are done

	told    dispatch.Progress // last argument of OnProgress
	telling atomic.Bool
}

func newPieces(t *testing.T, seed uint64) *pieces {
	p := &pieces{t: t, seed: seed, middle: middle(seed % uint64(middles)), over: make(chan struct{})}
	p.pool = dispatch.Must(dispatch.New(p.handle, dispatch.WithWorkers(2+p.random(0).IntN(7))))
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	var opts []dispatch.BatchOption
	switch p.middle {
	case middleFailure:
		opts = append(opts, dispatch.StopOnError())
	case middleSuccess:
		opts = append(opts, dispatch.StopOnSuccess())
	}
	if seed/8%2 == 0 {
		opts = append(opts, dispatch.OnProgress(p.onProgress))
	}
	p.batch = p.pool.Batch(ctx, opts...)
	return p
}

func (p *pieces) random(who uint64) *rand.Rand { return rand.New(rand.NewPCG(p.seed, who)) }

func (p *pieces) handle(ctx context.Context, i int) (int, error) {
	if p.starts[i].Add(1) != 1 {
		p.t.Errorf("item %d started again", i)
	}
	if i == pieceBad && p.middle == middleFailure || i%pieceBad != 0 && p.middle == middleSuccess {
		return 0, bodyError(i)
	}
	return 2 * i, nil
}

func (p *pieces) run() {
	random := p.random(1)
	var adders, readers, others sync.WaitGroup
	results := make(chan (<-chan dispatch.Result[int, int]), 1)
	when := random.IntN(4) // Results is called: before Add, after it has begun, at the end, never
	if when == 0 {
		results <- p.batch.Results()
	}
	for a := range pieceAdders {
		adders.Go(func() { p.add(a) })
	}
	if when == 1 {
		results <- p.batch.Results()
	}
	others.Go(p.poll)
	others.Go(func() {
		for range p.random(2).IntN(50) {
			runtime.Gosched()
		}
		p.meddle()
	})
	if p.middle == middleNothing || random.IntN(2) == 0 {
		adders.Wait() // because readers seal the batch
	}
	reports := make([]report, 5) // of two loops over All, two Waits, and the channel
	var common [2]error          // of the Waits
	for i := range 2 {
		readers.Go(func() { reports[i] = p.readAll() })
		readers.Go(func() { reports[2+i], common[i] = p.wait() })
	}
	if when == 2 {
		results <- p.batch.Results()
	}
	close(results)
	for ch := range results {
		readers.Go(func() { reports[4] = p.receive(ch) })
	}
	adders.Wait()
	readers.Wait()
	close(p.over)
	others.Wait()
	require.NoError(p.t, p.pool.Close())
	p.check(reports, common, when < 3)
	p.cancel(nil)
}

// add adds the items of one adder, piece by piece, until one is refused.
func (p *pieces) add(a int) {
	random := p.random(uint64(10 + a))
	for n := 0; n < pieceItems; {
		piece := make([]int, min(random.IntN(5), pieceItems-n))
		for i := range piece {
			piece[i] = a*pieceItems + n + i
		}
		err := p.batch.Add(piece...)
		if err != nil {
			if p.middle == middleNothing || !errors.Is(err, dispatch.ErrSealed) && !errors.Is(err, dispatch.ErrClosed) {
				p.t.Errorf("Add: %v", err)
			}
			return
		}
		n += len(piece)
		p.added[a] = n
		if random.IntN(4) == 0 {
			runtime.Gosched()
		}
	}
}

// meddle makes the event of this round happen to the batch.
func (p *pieces) meddle() {
	switch p.middle {
	case middleCancel:
		p.batch.Cancel()
	case middleContext:
		p.cancel(errCause)
	case middleSeal:
		p.batch.Close()
	case middlePoolClose:
		if err := p.pool.Close(); err != nil {
			p.t.Errorf("Close: %v", err)
		}
	case middlePoolStop:
		p.unrun = p.pool.Stop()
	}
}

// poll checks that Progress never goes back.
func (p *pieces) poll() {
	var last dispatch.Progress
	for {
		now := p.batch.Progress()
		p.forward(last, now)
		last = now
		select {
		case <-p.over:
			return
		default:
			runtime.Gosched()
		}
	}
}

func (p *pieces) forward(last, now dispatch.Progress) {
	if now.Total < last.Total || now.Done < last.Done || now.Failed < last.Failed || now.Done > now.Total || now.Failed > now.Done {
		p.t.Errorf("the progress was %+v, and then %+v", last, now)
	}
}

func (p *pieces) onProgress(now dispatch.Progress) {
	if p.telling.Swap(true) {
		p.t.Error("two calls of OnProgress at once")
	}
	p.forward(p.told, now)
	p.told = now
	p.telling.Store(false)
}

// report holds the outcomes that a reader received, by index. It is nil if there was no
// such reader.
type report map[int]dispatch.Result[int, int]

func (r report) add(t *testing.T, res dispatch.Result[int, int]) {
	if _, again := r[res.Index]; again {
		t.Errorf("item %d was delivered twice", res.Index)
	}
	r[res.Index] = res
}

func (p *pieces) readAll() report {
	r := report{}
	for res := range p.batch.All() {
		if res.Index != len(r) {
			p.t.Errorf("All gave item %d in the place of %d", res.Index, len(r))
		}
		r.add(p.t, res)
	}
	return r
}

// wait reports neither inputs nor errors that items have in common, since Wait does not
// return these item by item. It returns the common error.
func (p *pieces) wait() (r report, common error) {
	outs, err := p.batch.Wait(context.Background())
	r = report{}
	for i, out := range outs {
		r[i] = dispatch.Result[int, int]{Index: i, Out: out}
	}
	for _, e := range split(err) {
		item, ok := e.(*dispatch.ItemError)
		switch {
		case !ok && common == nil:
			common = e
			continue
		case !ok || item.Index >= len(outs):
			p.t.Errorf("Wait returned %v", err)
			continue
		}
		res := r[item.Index]
		res.Err = item.Err
		r[item.Index] = res
	}
	return r, common
}

// checkCommon checks the error that Wait returned for the items that have one in common.
func (p *pieces) checkCommon(all, waited report, common error) {
	var shared error
	for i, res := range all {
		if own := res.Err == bodyError(res.In); res.Err == nil || own {
			continue
		}
		if waited[i].Err != nil {
			p.t.Errorf("item %d has failed, Wait said, and its outcome is %+v", i, res)
		}
		if res.Err != dispatch.ErrHalted {
			shared = res.Err
		}
		res.Err = nil
		all[i] = res
	}
	if shared != common {
		p.t.Errorf("Wait returned the common error %v: expected %v", common, shared)
	}
	p.checkSame(all, waited)
}

func (p *pieces) receive(results <-chan dispatch.Result[int, int]) report {
	r := report{}
	for res := range results {
		r.add(p.t, res)
	}
	return r
}

// check compares the reports with each other and with the handlers that ran.
func (p *pieces) check(reports []report, common [2]error, received bool) {
	all := reports[0]
	n, failures := 0, 0
	for _, k := range p.added {
		n += k
	}
	var inputs []int
	for i := range len(all) {
		res := all[i]
		inputs = append(inputs, res.In)
		if res.Err != nil {
			failures++
		}
		p.checkItem(res)
	}
	p.checkInputs(inputs)
	p.checkSame(all, reports[1])
	for i, err := range common {
		p.checkCommon(maps.Clone(all), reports[2+i], err)
	}
	for _, r := range reports[1:4] {
		if len(r) != n || len(all) != n {
			p.t.Errorf("%d and %d outcomes of %d items", len(all), len(r), n)
		}
	}
	p.checkSame(all, reports[4])
	// After a cancel the channel yields the results that fit into it, at least 128.
	if canceled := p.middle != middleNothing && p.middle != middleSeal && p.middle != middlePoolClose; received && len(reports[4]) < n && (!canceled || n <= 128) {
		p.t.Errorf("the channel gave %d results of %d", len(reports[4]), n)
	}
	end := dispatch.Progress{Total: n, Done: n, Failed: failures}
	if now := p.batch.Progress(); now != end || p.seed/8%2 == 0 && p.told != end && n > 0 {
		p.t.Errorf("the progress is %+v, and OnProgress was told %+v: expected %+v", now, p.told, end)
	}
	checkEnded(p.t, p.pool, nil)
	require.EqualValues(p.t, n, p.pool.Stats().Submitted)
	require.EqualValues(p.t, n-failures, p.pool.Stats().Succeeded)
}

// checkItem checks that the outcome is possible for the item.
func (p *pieces) checkItem(res dispatch.Result[int, int]) {
	ran, given := p.starts[res.In].Load() == 1, slices.Contains(p.unrun, res.In)
	legal := false
	switch err := res.Err; {
	case err == nil:
		legal = ran && res.Out == 2*res.In
	case err == bodyError(res.In):
		legal = ran && (p.middle == middleFailure || p.middle == middleSuccess)
	case err == context.Canceled:
		legal = p.middle == middleCancel
	case err == dispatch.ErrHalted:
		legal = p.middle == middleFailure || p.middle == middleSuccess
	case err == errCause:
		legal = p.middle == middleContext
	case err == dispatch.ErrStopped:
		legal = p.middle == middlePoolStop && ran != given
	}
	if !legal || given && res.Err != dispatch.ErrStopped {
		p.t.Errorf("item %d: %+v; ran: %t; given back: %t", res.Index, res, ran, given)
	}
}

// checkInputs checks that the items are those that were accepted, those of each
// adder in its order.
func (p *pieces) checkInputs(inputs []int) {
	var next [pieceAdders]int
	for _, in := range inputs {
		a := in / pieceItems
		if in%pieceItems != next[a] {
			p.t.Errorf("input %d in the place of %d", in, a*pieceItems+next[a])
		}
		next[a] = in%pieceItems + 1
	}
	if next != p.added {
		p.t.Errorf("%v items of each adder, and %v were accepted", next, p.added)
	}
	for in := range p.starts {
		if n := p.starts[in].Load(); n > 0 && in%pieceItems >= p.added[in/pieceItems] {
			p.t.Errorf("input %d was refused, and ran", in)
		}
	}
}

// checkSame checks that two readers got the same outcome for each item that both got.
func (p *pieces) checkSame(all, r report) {
	for i, got := range r {
		if want := all[i]; got.Out != want.Out || got.Err != want.Err || got.In != want.In && got.In != 0 {
			p.t.Errorf("readers were told %+v and %+v", want, got)
		}
	}
}
