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

func TestAListKeepsTheOrderOfWhatIsPushedAndNotRemoved(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var l list[listed]
	var model []int
	elems := make([]listed, 8)
	for range 5000 {
		e := &elems[rnd.IntN(len(elems))]
		if i := slices.Index(model, e.id); i >= 0 && e.place.elem != nil {
			l.remove(&e.place)
			model = slices.Delete(model, i, i+1)
		} else {
			e.id = rnd.Int()
			l.push(&e.place, e)
			model = append(model, e.id)
		}
		require.True(t, slices.Equal(model, ids(&l)), "want %v, got %v", model, ids(&l))
		require.Equal(t, len(model) == 0, l.empty())
	}
}

func TestRemovingWhatIsInNoListDoesNothing(t *testing.T) {
	var l list[listed]
	in, out := &listed{id: 1}, &listed{id: 2}
	l.push(&in.place, in)
	l.remove(&out.place)
	require.Equal(t, []int{1}, ids(&l))
	l.remove(&in.place)
	l.remove(&in.place)
	require.Empty(t, ids(&l))
	l.push(&out.place, out)
	require.Equal(t, []int{2}, ids(&l))
}

func TestALoopOverAListMayRemoveWhereItIsAndBreakOff(t *testing.T) {
	var l list[listed]
	elems := make([]listed, 5)
	for i := range elems {
		elems[i].id = i
		l.push(&elems[i].place, &elems[i])
	}
	var seen []int
	for e := range l.all {
		if e.id == 4 {
			break
		}
		seen = append(seen, e.id)
		if e.id%2 == 0 {
			l.remove(&e.place)
		}
	}
	require.Equal(t, []int{0, 1, 2, 3}, seen)
	require.Equal(t, []int{1, 3, 4}, ids(&l))
}

func TestAListTakesAllElementsOfAnother(t *testing.T) {
	for name, n := range map[string][2]int{"none": {0, 0}, "into none": {0, 2}, "of none": {2, 0}, "some": {2, 3}, "one": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			links := make([]link[int], n[0]+n[1])
			values := make([]int, len(links))
			var l, other list[int]
			for i := range links {
				values[i] = i
				if i < n[0] {
					l.push(&links[i], &values[i])
				} else {
					other.push(&links[i], &values[i])
				}
			}
			l.take(&other)
			require.True(t, other.empty())
			var got []int
			for v := range l.all {
				got = append(got, *v)
			}
			require.Equal(t, values, append([]int{}, got...))
			for i := range links { // the links back are right as well
				l.remove(&links[len(links)-1-i])
			}
			require.True(t, l.empty() && l.tail == nil)
		})
	}
}
