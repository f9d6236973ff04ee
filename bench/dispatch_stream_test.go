//go:build !without_stream

package bench

import (
	"context"
	"slices"
)

func dispatchStream(c config) (mapper, func()) {
	p, stop := openDispatch(c)
	ctx := context.Background()
	return func(ins []int) []int {
		outs := make([]int, 0, len(ins))
		for r := range p.Stream(ctx, slices.Values(ins)) {
			check(r.Err)
			outs = append(outs, r.Out)
		}
		return outs
	}, stop
}
