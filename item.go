package dispatch

import "sync/atomic"

// item is one input of a batch. Whoever claims it owns it, and writes its
// outcome before its state.
type item[In, Out any] struct {
	in    In
	out   Out
	err   error
	index int
	state atomic.Uint32 // open ──► told ──► sent, or at once ──► sent
}

// The states of an item.
const (
	open uint32 = iota
	told        // it has its outcome
	sent        // ... and somebody sends it to results, or has done so
)

func (it *item[In, Out]) result() Result[In, Out] {
	return Result[In, Out]{Index: it.index, In: it.in, Out: it.out, Err: it.err}
}

// chunk is a run of a batch's items. They are added with the pool's mutex held,
// and claimed without it.
type chunk[In, Out any] struct {
	items []item[In, Out]
	after *chunk[In, Out] // written with the mutex held

	filled atomic.Int64 // how many there are; written with the mutex held
	next   atomic.Int64 // the first that nobody has claimed
}

// claim claims the next item; nil if none is left.
func (c *chunk[In, Out]) claim() *item[In, Out] {
	for {
		i := c.next.Load()
		if i >= c.filled.Load() {
			return nil // more may come
		}
		if c.next.CompareAndSwap(i, i+1) {
			return &c.items[i]
		}
	}
}

func (c *chunk[In, Out]) left() int { return int(c.filled.Load() - c.next.Load()) }

// add stores ins. The mutex is held.
func (b *Batch[In, Out]) add(ins []In) {
	c := b.last
	if c == nil || len(c.items)-int(c.filled.Load()) < len(ins) {
		size := max(len(ins), 16)
		if c != nil {
			size = max(size, min(2*len(c.items), 1<<16))
		}
		c = &chunk[In, Out]{items: make([]item[In, Out], size)}
		if b.last == nil {
			b.first = c
			b.current.Store(c)
		} else {
			b.last.after = c
		}
		b.last = c
	}
	from := int(c.filled.Load())
	for i, in := range ins {
		it := &c.items[from+i]
		it.in, it.index = in, b.progress.Total+i
	}
	b.progress.Total += len(ins)
	c.filled.Add(int64(len(ins)))
}

// next claims the next item of the batch; nil if none is left. The mutex is held,
// and yet workers may claim at the same time.
func (b *Batch[In, Out]) next() *item[In, Out] {
	for c := b.current.Load(); c != nil; c = c.after {
		b.current.Store(c)
		if it := c.claim(); it != nil {
			return it
		}
	}
	return nil
}

// unclaimed counts the items that nobody has claimed. The mutex is held.
func (b *Batch[In, Out]) unclaimed() (n int) {
	for c := b.current.Load(); c != nil; c = c.after {
		n += c.left()
	}
	return n
}

// all ranges over the items in order. The mutex is held, or the batch is sealed.
func (b *Batch[In, Out]) all(yield func(*item[In, Out]) bool) {
	for c := b.first; c != nil; c = c.after {
		for i := range c.items[:c.filled.Load()] {
			if !yield(&c.items[i]) {
				return
			}
		}
	}
}
