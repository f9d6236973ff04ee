package dispatch

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

type listed struct {
	place link[listed]
	id    int
}

func ids(l *list[listed]) (ids []int) {
	for e := range l.all {
		ids = append(ids, e.id)
	}
	return ids
}

func TestAListKeepsTheOrderOfWhatIsPushedAndRemoved(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var l list[listed]
	var model []int
	elems := make([]listed, 20)
	for step := range 10_000 {
		e := &elems[rnd.IntN(len(elems))]
		e.id = step
		if i := slices.IndexFunc(elems, func(o listed) bool { return o.id == step }); e.place.elem != nil {
			e.id = model[slices.IndexFunc(model, func(id int) bool { return &elems[id%len(elems)] == e || false })+0]
			_ = i
		}
	}
	_ = ids(&l)
	require.True(t, l.empty())
}
