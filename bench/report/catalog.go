package main

import "slices"

// A catalog lists what the benchmarks can measure. The benchmarks print it, and the
// results begin with it.
type catalog struct {
	Works   []work   `json:"works"`
	Axes    []axis   `json:"axes"`
	Floors  []string `json:"floors"`  // the peers that are not pools
	Modules []string `json:"modules"` // of the peers
	Spin    int      `json:"spin"`    // turns of the spin loop that make a microsecond
}

type work struct {
	Name   string   `json:"name"`
	What   string   `json:"what"`
	Pools  []string `json:"pools"`
	OfAxis bool     `json:"ofAxis"` // a point of an axis only, not a work of the report
}

// An axis is a quantity that can grow.
type axis struct {
	Name      string   `json:"name"`
	What      string   `json:"what"`
	Sizes     []int    `json:"sizes"`
	Works     []string `json:"works"`     // by size
	Reference int      `json:"reference"` // the size at which the best peers are chosen
}

func (c catalog) work(name string) work {
	if i := slices.IndexFunc(c.Works, func(w work) bool { return w.Name == name }); i >= 0 {
		return c.Works[i]
	}
	return work{}
}

// workNames returns the names that -works accepts.
func (c catalog) workNames() (names []string) {
	for _, w := range c.Works {
		if !w.OfAxis {
			names = append(names, w.Name)
		}
	}
	return append(names, memoryWork)
}

func (c catalog) isPeer(pool string) bool  { return !c.isFloor(pool) }
func (c catalog) isFloor(pool string) bool { return slices.Contains(c.Floors, pool) }

// isPeerPool reports whether a peer is a pool of workers. errgroup is not one: a Group
// is a go statement with a limit. The goal that uses this is about pools. The tables
// have errgroup all the same.
func (c catalog) isPeerPool(pool string) bool { return c.isPeer(pool) && pool != "errgroup" }
