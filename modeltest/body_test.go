package modeltest

import "fmt"

// A body is what a job does: it passes some time in a manner, and then it
// finishes in one of the ways a handler can.
type body struct {
	manner manner
	finish finish
	ticks  int
	seed   byte // of what the manner leaves open
	depth  int  // 0 for a job that the program submits, more for its children
}

type manner byte

const (
	sleeps  manner = iota // and does not look at its context
	watches               // selects on its context's Done
	polls                 // asks context.Cause every tick
	nests                 // calls the pool it runs on, and waits
	acts                  // calls the pool it runs on, and does not wait
)

var mannerNames = [...]string{"sleeps", "watches", "polls", "nests", "acts"}

func (m manner) String() string { return mannerNames[m] }

type finish byte

const (
	returns finish = iota
	fails
	panics
	exits // runtime.Goexit
)

var finishNames = [...]string{"returns", "fails", "panics", "exits"}

func (f finish) String() string { return finishNames[f] }

const maxDepth = 2

func decodeBody(b, c, d byte, depth int) body {
	manners := [...]manner{sleeps, sleeps, watches, nests, watches, polls, sleeps, nests, acts}
	finishes := [...]finish{returns, returns, fails, returns, panics, exits, returns, returns}
	it := body{
		manner: manners[int(b)%len(manners)],
		finish: finishes[int(c)%len(finishes)],
		ticks:  int(c) / len(finishes) % 6,
		seed:   d,
		depth:  depth,
	}
	if it.manner == nests && depth >= maxDepth {
		it.manner = sleeps
	}
	return it
}

// child is the body of the i-th job that one with this body submits.
func (b body) child(i int) body {
	x := int(b.seed)*37 + i*101 + b.depth*59 + 11
	return decodeBody(byte(x), byte(x*7), byte(x*3+i), b.depth+1)
}

// sibling is the body of the i-th of several jobs that one step submits.
func (b body) sibling(i int) body {
	x := int(b.seed)*29 + i*53
	if i == 0 {
		return b
	}
	return decodeBody(byte(x), byte(x*5+3), byte(x*11+1), b.depth)
}

func (b body) String() string {
	return fmt.Sprintf("%v %d ticks, %v (seed %d)", b.manner, b.ticks, b.finish, b.seed)
}

// bodyError is what the job of that number fails or panics with.
type bodyError int

func (e bodyError) Error() string { return fmt.Sprintf("job %d failed", int(e)) }

// answer is what the job of that number returns.
func answer(id int) int { return id*7 + 1 }
