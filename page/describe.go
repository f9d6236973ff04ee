package page

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"example.com/dispatch"
)

// description is the text of an error, and the stack if the error is a panic's.
type description struct{ text, stack string }

// descriptions keeps the descriptions made at the last look, so that an error's
// methods are called once per failure and not once per second.
type descriptions struct {
	mu    sync.Mutex
	known map[error]description // only errors of pointer types, which are always comparable
}

// of returns the descriptions of the errors of jobs.
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

// describe returns the description of err. The methods of an error are user code,
// which may panic or end its goroutine, so they run on a goroutine of their own.
func describe(err error) description {
	var text, stack string
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				text = fmt.Sprintf("an error of type %T, whose methods panic", err)
			}
		}()
		text = fmt.Sprintf("an error of type %T, whose methods end their goroutine", err)
		if p, ok := errors.AsType[*dispatch.PanicError](err); ok {
			stack = string(p.Stack)
		}
		text = err.Error()
	}()
	<-done
	text = strings.TrimPrefix(text, "dispatch: ")
	if text == "" {
		text = fmt.Sprintf("an error of type %T with an empty text", err)
	}
	return description{cut(text, maxError), trimStack(stack)}
}

// trimStack cuts a stack down to the frames from the call of panic on. It removes
// argument values and call offsets, most of which are addresses, so that two panics
// in the same place have the same stack.
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
