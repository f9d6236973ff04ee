package bench

import (
	"fmt"
	"sync/atomic"
)

func inputs(n int) []int {
	ins := make([]int, n)
	for i := range ins {
		ins[i] = i
	}
	return ins
}

func checkResult(in, out int, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("job %d: %w", in, err)
	case out != in+1:
		return fmt.Errorf("job %d gave %d, want %d", in, out, in+1)
	default:
		return nil
	}
}

// checkEach compares each result with its input.
func checkEach(ins, outs []int) error {
	if len(outs) != len(ins) {
		return fmt.Errorf("%d results for %d jobs", len(outs), len(ins))
	}
	for i, out := range outs {
		if err := checkResult(ins[i], out, nil); err != nil {
			return err
		}
	}
	return nil
}

// checkSum compares sum with that of the results of n jobs with the inputs 0 to
// n-1.
func checkSum(sum, n int) error {
	if want := n * (n + 1) / 2; sum != want {
		return fmt.Errorf("the results of %d jobs add up to %d, want %d", n, sum, want)
	}
	return nil
}

// A tally adds up results. Concurrent jobs add to different cache lines, because
// otherwise the tally would cost as much as a pool.
type tally struct {
	cells [16]struct {
		sum atomic.Int64
		_   [120]byte
	}
}

// count returns j with its results counted.
func (t *tally) count(j job) job {
	return func(in int) int {
		out := j(in)
		t.cells[in%len(t.cells)].sum.Add(int64(out))
		return out
	}
}

// take returns the sum and starts again from 0. All jobs must have ended.
func (t *tally) take() (sum int) {
	for i := range t.cells {
		sum += int(t.cells[i].sum.Swap(0))
	}
	return sum
}
