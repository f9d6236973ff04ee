package dispatch

import "context"

// Call runs f, with the context of its job. It is the handler of a pool whose inputs
// are closures: New(Call[string]) makes one whose closures give strings. A nil f is
// a panic of its job.
func Call[Out any](ctx context.Context, f func(context.Context) (Out, error)) (Out, error) {
	return f(ctx)
}

// Do makes a handler of a function without an output. Do(nil) is nil, which New
// refuses.
func Do[In any](f func(context.Context, In) error) Handler[In, struct{}] {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, in In) (struct{}, error) { return struct{}{}, f(ctx, in) }
}
