package bench

import (
	"encoding/json"
	"os"
	"slices"
)

// A catalog tells the report what can be measured.
type catalog struct {
	Works   []catalogWork `json:"works"` // the works of the report first, then the other points of the axes
	Axes    []catalogAxis `json:"axes"`
	Floors  []string      `json:"floors"`  // the peers that are not pools
	Modules []string      `json:"modules"` // of the peers
	Spin    int           `json:"spin"`    // turns of the spin loop that make a microsecond
}

type catalogWork struct {
	Name   string   `json:"name"`
	What   string   `json:"what"`
	Pools  []string `json:"pools"`  // in the order of the tables
	OfAxis bool     `json:"ofAxis"` // a point of an axis and nothing else
}

type catalogAxis struct {
	Name      string   `json:"name"`
	What      string   `json:"what"`
	Sizes     []int    `json:"sizes"`
	Works     []string `json:"works"` // by size
	Reference int      `json:"reference"`
}

func newCatalog() catalog {
	c := catalog{Spin: turnsPerMicrosecond()}
	for i, w := range allWorks() {
		c.Works = append(c.Works, catalogWork{w.name, w.what, w.pools(), i >= len(works)})
	}
	for _, a := range axes {
		entry := catalogAxis{Name: a.name, What: a.what, Sizes: a.sizes, Reference: a.reference}
		for _, size := range a.sizes {
			entry.Works = append(entry.Works, a.work(size).name)
		}
		c.Axes = append(c.Axes, entry)
	}
	for _, p := range peers {
		if p.floor {
			c.Floors = append(c.Floors, p.name)
		}
		if p.module != "" && !slices.Contains(c.Modules, p.module) {
			c.Modules = append(c.Modules, p.module)
		}
	}
	return c
}

func (c catalog) print() error { return json.NewEncoder(os.Stdout).Encode(c) }

// pools returns the names of the peers that have a row in the work.
func (w work) pools() (names []string) {
	for _, p := range peers {
		if w.can(p) {
			names = append(names, p.name)
		}
	}
	return names
}
