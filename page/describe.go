package page

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"example.com/dispatch"
)

// description is what an error says, and the stack if it is a panic's.
type description struct{ text, stack string }

// descriptions keeps what the errors of the last look said, so that their methods
// are called once a failure and not once a second.
type descriptions struct {
	mu    sync.Mutex
	known map[error]description // pointers only: those that compare for sure
}

// of describes the errors of jobs.
func (d *descriptions) of(jobs []dispatch.Job) []description {
	d.mu.Lock()
	before := d.known
	d.mu.Unlock()
	list, known := make([]description, len(jobs)), make(map[error]description, len(jobs))
	for i, j := range jobs {
		if j.Err == nil {
			continue
		}
		pointer := reflect.TypeOf(j.Err).Kind() == reflect.Pointer
		if pointer {
			var ok bool
			if list[i], ok = known[j.Err]; ok {
				continue
			}
			if list[i], ok = before[j.Err]; ok {
				known[j.Err] = list[i]
				continue
			}
		}
		list[i] = describe(j.Err)
		if pointer {
			known[j.Err] = list[i]
		}
	}
	d.mu.Lock()
	d.known = known
	d.mu.Unlock()
	return list
}

// describe returns what an error says, and the stack if it is a panic's. Errors
// are users' code, which may panic, or end its goroutine.
func describe(err error) description {
	var text, stack string
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				text = fmt.Sprintf("%T, whose methods panic", err)
			}
		}()
		text = fmt.Sprintf("%T, whose methods do not return", err)
		if p, ok := errors.AsType[*dispatch.PanicError](err); ok {
			stack = string(p.Stack)
		}
		text = err.Error()
	}()
	<-done
	text = strings.TrimPrefix(text, "dispatch: ")
	if text == "" {
		text = fmt.Sprintf("%T without a text", err)
	}
	return description{cut(text, maxError), trimStack(stack)}
}

// trimStack leaves of a stack what is below the call of panic, without the
// values of arguments and the offsets of calls, which are addresses for the most
// part: two panics in the same place have the same stack.
func trimStack(stack string) string {
	if _, below, ok := strings.Cut(stack, "\npanic("); ok {
		stack = "panic(" + below
	}
	var out strings.Builder
	out.Grow(min(len(stack), maxStack) + 256)
	for line := range strings.Lines(stack) {
		line = strings.TrimSuffix(line, "\n")
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		if place, _, ok := strings.Cut(line, " +0x"); ok {
			line = place
		} else if name := strings.LastIndexByte(line, '('); strings.HasSuffix(line, ")") && name > 0 {
			line = line[:name] + "(…)"
		}
		out.WriteString(line)
		if out.Len() > maxStack {
			break
		}
	}
	return cut(out.String(), maxStack)
}
