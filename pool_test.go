package dispatch_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

// Regression: a zero Pool hung silently, or panicked with a division by zero.
func TestEveryMethodOfAZeroPoolSaysWhatIsWrong(t *testing.T) {
	const wrong = "dispatch: Pool must be made by New or NewWorkers"
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for _, ctx := range []context.Context{context.Background(), done} {
		var p dispatch.Pool[int, int]
		pool := reflect.ValueOf(&p)
		require.NotZero(t, pool.NumMethod())
		for i := range pool.NumMethod() {
			method := pool.Type().Method(i)
			t.Run(method.Name, func(t *testing.T) {
				var args []reflect.Value
				for in := range method.Type.Ins() {
					switch {
					case len(args) == 0:
						args = append(args, pool)
					case in == reflect.TypeFor[context.Context]():
						args = append(args, reflect.ValueOf(ctx))
					case method.Type.IsVariadic() && len(args) == method.Type.NumIn()-1:
					case in.Kind() == reflect.Int || in.Kind() == reflect.Int64:
						args = append(args, reflect.ValueOf(1).Convert(in))
					default:
						args = append(args, reflect.Zero(in))
					}
				}
				within(t, method.Name, func() {
					require.PanicsWithValue(t, wrong, func() { method.Func.Call(args) })
				})
			})
		}
	}
}

func TestANilOptionIsSaidToBeOne(t *testing.T) {
	p := dispatch.Must(dispatch.New(untilDone))
	require.PanicsWithValue(t, "dispatch: Batch: option 0 is nil", func() { p.Batch(context.Background(), nil) })
	require.PanicsWithValue(t, "dispatch: Batch: option 1 is nil", func() {
		p.Batch(context.Background(), dispatch.StopOnError(), nil)
	})
	require.PanicsWithValue(t, "dispatch: OnProgress(nil): the function must not be nil", func() { dispatch.OnProgress(nil) })
	require.NoError(t, p.Close())
	_, err := dispatch.New(untilDone, dispatch.WithWorkers(1), nil)
	require.EqualError(t, err, "dispatch: option 1 is nil")
}
