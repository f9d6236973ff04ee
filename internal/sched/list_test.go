package sched

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// node is an element of a list.
type node struct {
	link link[node]
	id   int
}

func idsOf(l *list[node]) (ids []int) {
	for n := range l.all {
		ids = append(ids, n.id)
	}
	return ids
}

// backwards returns the ids from the tail on, by the links that point back.
func backwards(l *list[node]) (ids []int) {
	for k := l.tail; k != nil; k = k.prev {
		ids = append(ids, k.elem.id)
	}
	return ids
}

func listOf(n int) (*list[node], []*node) {
	l := new(list[node])
	nodes := make([]*node, n)
	for i := range nodes {
		nodes[i] = &node{id: i}
		l.push(&nodes[i].link, nodes[i])
	}
	return l, nodes
}

func TestListKeepsTheOrderWhateverIsRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		remove []int
		left   []int
	}{
		"nothing":         {nil, []int{0, 1, 2, 3}},
		"the head":        {[]int{0}, []int{1, 2, 3}},
		"the middle":      {[]int{1, 2}, []int{0, 3}},
		"the tail":        {[]int{3}, []int{0, 1, 2}},
		"all, in order":   {[]int{0, 1, 2, 3}, nil},
		"all, from back":  {[]int{3, 2, 1, 0}, nil},
		"all, from midst": {[]int{2, 1, 3, 0}, nil},
		"twice the same":  {[]int{1, 1}, []int{0, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			l, nodes := listOf(4)
			for _, i := range c.remove {
				l.remove(&nodes[i].link)
				require.False(t, nodes[i].link.listed())
			}
			require.Equal(t, c.left, idsOf(l))
			back := slices.Clone(c.left)
			slices.Reverse(back)
			require.Equal(t, back, backwards(l))
			require.Equal(t, len(c.left) == 0, l.empty())
			require.Equal(t, len(c.left) == 1, l.single())
		})
	}
}

func TestListHasAnElementOnce(t *testing.T) {
	l, nodes := listOf(3)
	l.push(&nodes[0].link, nodes[0])
	require.Equal(t, []int{0, 1, 2}, idsOf(l))
	l.remove(&nodes[0].link)
	l.push(&nodes[0].link, nodes[0])
	require.Equal(t, []int{1, 2, 0}, idsOf(l), "it comes to the end when it comes again")
}

func TestListWithOneElementIsSingle(t *testing.T) {
	l, nodes := listOf(1)
	require.True(t, l.single())
	require.False(t, l.empty())
	l.remove(&nodes[0].link)
	require.False(t, l.single())
	require.True(t, l.empty())
}

func TestListLoopMayRemoveTheElementThatItIsAt(t *testing.T) {
	l, _ := listOf(4)
	var seen []int
	for n := range l.all {
		seen = append(seen, n.id)
		if n.id%2 == 0 {
			l.remove(&n.link)
		}
	}
	require.Equal(t, []int{0, 1, 2, 3}, seen)
	require.Equal(t, []int{1, 3}, idsOf(l))
}

func TestListLoopEndsWhereItsBodyBreaks(t *testing.T) {
	l, _ := listOf(4)
	var seen []int
	for n := range l.all {
		if n.id == 2 {
			break
		}
		seen = append(seen, n.id)
	}
	require.Equal(t, []int{0, 1}, seen)
}
