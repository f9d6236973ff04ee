package modeltest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"

	"example.com/dispatch"
)

// firstUserContext is the first kind of user-defined context.
const firstUserContext = 160

// habit is a behaviour of a user-defined context that contexts of the context package do
// not have.
type habit byte

const (
	panicking habit = iota // once it is done, the method that says why panics
	lying                  // it is done but says that it is not
	slow                   // each method takes long
	asking                 // each method calls the pool before it returns
	overdue                // it has a deadline but does not end at it
	habits
)

// errUserPanic is the value with which a context panics.
var errUserPanic = errors.New("this context panics")

// userContext is a user-defined context. It does not wrap a context of the context
// package, and is canceled by a step of the program.
type userContext struct {
	of       *watched
	w        *world
	habit    habit
	deadline time.Time
	self     bool // it registers functions itself
}

// registering is a userContext that registers functions itself.
type registering struct{ *userContext }

// withUser makes c a user-defined context.
func (w *world) withUser(c *watched, kind byte) *watched {
	c.Context, c.cancel = context.WithCancelCause(c.Context)
	c.makeForeign()
	c.user = &userContext{of: c, w: w, habit: habit(kind % byte(habits)), self: kind/byte(habits)%2 == 1}
	c.silent = c.user.habit == panicking || c.user.habit == lying
	if c.user.habit == overdue {
		c.user.deadline = time.Now().Add(ticks(1 + int(kind)/(2*int(habits))))
	}
	return c
}

func (u *userContext) plain() context.Context {
	if u.self {
		return registering{u}
	}
	return u
}

// answer is called first by each method.
func (u *userContext) answer() {
	switch u.habit {
	case slow:
		for range 20 {
			runtime.Gosched()
		}
	case asking:
		u.w.pool.Stats()
	}
}

func (u *userContext) Deadline() (time.Time, bool) {
	u.answer()
	return u.deadline, !u.deadline.IsZero()
}

func (u *userContext) Done() <-chan struct{} {
	u.answer()
	return u.of.Done()
}

func (u *userContext) Err() error {
	u.answer()
	err := u.of.Err()
	switch {
	case err == nil || u.habit == lying:
		return nil
	case u.habit == panicking:
		panic(errUserPanic)
	}
	return err
}

func (u *userContext) Value(key any) any {
	u.answer()
	if key == (valueKey{}) {
		return u.of.Context.Value(key)
	}
	return nil
}

func (u registering) AfterFunc(f func()) (stop func() bool) {
	u.answer()
	unregister := u.of.AfterFunc(f)
	return func() bool {
		u.answer()
		return unregister()
	}
}

// givesNoReason reports whether err is the error that the pool uses for a context that
// could not say why it is done.
func givesNoReason(err error) bool {
	if pe, ok := err.(*dispatch.PanicError); ok {
		return pe.Value == error(errUserPanic)
	}
	return err == errUserPanic || errors.Is(err, context.Canceled) && strings.Contains(err.Error(), "its Err is nil")
}
