package dispatch_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Errors, of handlers and of contexts, whose methods are odd.

// oddError is an error of the user's whose methods are odd.
type oddError struct{ odd func() }

func (e *oddError) Error() string { e.odd(); return "odd" }

func (e *oddError) Is(error) bool { e.odd(); return false }

func (e *oddError) As(any) bool { e.odd(); return false }

func (e *oddError) Unwrap() []error { e.odd(); return nil }

// incomparable is an error that cannot be compared with its like.
type incomparable struct{ list any }

func (e incomparable) Error() string { return "incomparable" }

func TestAnErrorMayBeOddWhenItIsAsked(t *testing.T) {
	for way := range ways(nil) {
		for name, call := range calls {
			t.Run(fmt.Sprint(name, ", ", way), func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				odd := &oddError{func() { ways(&p)[way]() }}
				same := incomparable{[]int{1}}
				gate := make(chan struct{})
				entered := make(chan struct{}, 10)
				p = dispatch.Must(dispatch.New(func(_ context.Context, in int) (int, error) {
					switch in {
					case 1:
						return 0, odd
					case 2:
						entered <- struct{}{}
						<-gate
						return 0, odd // with its context done
					case 3:
						entered <- struct{}{}
						<-gate
						return 0, same
					}
					return in, nil
				}, dispatch.WithWorkers(1), quiet()))
				within(t, name, func() { require.Error(t, call(p, context.Background(), 1)) })
				for in, cause := range map[int]error{2: errUser, 3: same} {
					ctx, cancel := context.WithCancelCause(context.Background())
					returned := make(chan struct{})
					go func() {
						defer close(returned)
						_ = call(p, ctx, in)
					}()
					<-entered
					cancel(cause)
					gate <- struct{}{}
					requireSoon(t, returned, name)
				}
				requireSound(t, p)
			})
		}
	}
}

func TestTheErrorOfAContextMayBeOddWhenItIsAsked(t *testing.T) {
	for way := range ways(nil) {
		for name, call := range calls {
			t.Run(fmt.Sprint(name, ", ", way), func(t *testing.T) {
				var p *dispatch.Pool[int, int]
				g := newGated()
				p = dispatch.Must(dispatch.New(g.handle, dispatch.WithWorkers(1), quiet()))
				_, err := p.Submit(context.Background(), 1)
				require.NoError(t, err)
				<-g.entered
				ctx := erringContext{lyingContext{make(chan struct{})}, &oddError{func() { ways(&p)[way]() }}}
				returned := make(chan struct{})
				go func() {
					defer close(returned)
					_ = call(p, ctx, 2)
				}()
				eventually(t, "the job waits", func() bool { return p.Stats().Queued > 0 })
				close(ctx.done)
				requireSoon(t, returned, name)
				g.open()
				requireSound(t, p)
			})
		}
	}
}
