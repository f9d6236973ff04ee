package main

import "slices"

// A catalog is what the benchmarks can measure. They print it themselves, and the
// results begin with it.
type catalog struct {
	Works   []work   `json:"works"`
	Axes    []axis   `json:"axes"`
	Floors  []string `json:"floors"`  // the pools that are none
	Modules []string `json:"modules"` // where the peers come from
	Spin    int      `json:"spin"`    // turns of the spin loop that make a microsecond
}

type work struct {
	Name   string   `json:"name"`
	What   string   `json:"what"`
	Pools  []string `json:"pools"`
	OfAxis bool     `json:"ofAxis"` // a point of an axis, and no work of the report
}

// An axis is something of which there can be more and more.
type axis struct {
	Name      string   `json:"name"`
	What      string   `json:"what"`
	Sizes     []int    `json:"sizes"`
	Works     []string `json:"works"`     // by size
	Reference int      `json:"reference"` // the size that tells who the best peers are
}

func (c catalog) work(name string) work {
	if i := slices.IndexFunc(c.Works, func(w work) bool { return w.Name == name }); i >= 0 {
		return c.Works[i]
	}
	return work{}
}

// workNames are those that -works can name.
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

// isPeerPool leaves out errgroup too: a Group is a go statement with a limit, and
// the goal that asks for this speaks of pools. The tables have it all the same.
func (c catalog) isPeerPool(pool string) bool { return c.isPeer(pool) && pool != "errgroup" }
