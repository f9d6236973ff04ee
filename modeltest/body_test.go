package modeltest

import "fmt"

// A body says what a job does: it spends some time in some manner, and then finishes in
// one of the ways in which a handler can.
type body struct {
	manner manner
	finish finish
	ticks  int
	seed   byte // for details that the manner leaves open
	depth  int  // 0 for a job that the program submits, more for its children
}

type manner byte

const (
	sleeps  manner = iota // and ignores its context
	watches               // selects on its context's Done
	polls                 // calls context.Cause every tick
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

// child returns the body of the i-th job that a job with this body submits.
func (b body) child(i int) body {
	x := int(b.seed)*37 + i*101 + b.depth*59 + 11
	return decodeBody(byte(x), byte(x*7), byte(x*3+i), b.depth+1)
}

// sibling returns the body of the i-th of several jobs that one step submits.
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

// bodyError is the error or panic value of the job with that number.
type bodyError int

func (e bodyError) Error() string { return fmt.Sprintf("job %d failed", int(e)) }

// answer is the output of the job with that number.
func answer(id int) int { return id*7 + 1 }
