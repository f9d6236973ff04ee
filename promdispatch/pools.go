package promdispatch

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// pools holds the exported pools, each under a unique name.
type pools struct {
	mu   sync.Mutex
	list []named // in the order of add; an element never changes, since readers go through them without the mutex
}

type named struct {
	pool Pool
	name string
}

func (p *pools) add(more ...Pool) {
	for _, pool := range more {
		if pool != nil {
			p.addOne(pool, pool.Stats().Name)
		}
	}
}

func (p *pools) addOne(pool Pool, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.ContainsFunc(p.list, func(n named) bool { return same(n.pool, pool) }) {
		p.list = append(p.list, named{pool, p.free(name)})
	}
}

// free returns name, with a number appended if another pool has it already. The
// caller holds the mutex.
func (p *pools) free(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	if name == "" {
		name = "unnamed"
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(p.list, func(n named) bool { return n.name == name })
	}
	for i, base := 2, name; taken(name); i++ {
		name = fmt.Sprintf("%s#%d", base, i)
	}
	return name
}

func (p *pools) remove(pool Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = slices.DeleteFunc(slices.Clone(p.list), func(n named) bool { return same(n.pool, pool) })
}

func (p *pools) all() []named {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list
}

// same reports whether a and b are the same pool. Values of a type that is not
// comparable are never the same.
func same(a, b Pool) bool {
	return b != nil && reflect.TypeOf(b).Comparable() && a == b
}
