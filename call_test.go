package dispatch_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAPoolOfCallRunsClosures(t *testing.T) {
	p := closing(t, dispatch.Must(dispatch.New(dispatch.Call[string])))
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "value")
	out, err := p.Process(ctx, func(ctx context.Context) (string, error) {
		require.NotNil(t, ctx.Done(), "it is the context of the job")
		return ctx.Value(key{}).(string), nil
	})
	require.NoError(t, err)
	require.Equal(t, "value", out)
	_, err = p.Process(ctx, func(context.Context) (string, error) { return "", errOdd })
	require.Equal(t, errOdd, err)
	outs, err := p.Map(ctx, []func(context.Context) (string, error){
		func(context.Context) (string, error) { return "a", nil },
		func(context.Context) (string, error) { return "b", nil },
	})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, outs)
}

func TestANilClosureIsAPanicOfItsJobAlone(t *testing.T) {
	p := closing(t, dispatch.Must(dispatch.New(dispatch.Call[int], dispatch.WithWorkers(1), quiet())))
	_, err := p.Process(t.Context(), nil)
	perr, ok := errors.AsType[*dispatch.PanicError](err)
	require.True(t, ok, "%v", err)
	_, ok = errors.AsType[runtime.Error](perr)
	require.True(t, ok, "%v", perr)
	out, err := p.Process(t.Context(), func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	require.Equal(t, 1, out)
	require.Equal(t, uint64(1), p.Stats().Panicked)
}

func TestDoMakesAHandlerOfAFunctionWithoutOutput(t *testing.T) {
	var got notes[int]
	p := closing(t, dispatch.Must(dispatch.New(dispatch.Do(func(_ context.Context, in int) error {
		got.add(in)
		_, err := failOdd(t.Context(), in)
		return err
	}))))
	out, err := p.Process(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, struct{}{}, out)
	_, err = p.Process(t.Context(), 3)
	require.Equal(t, errOdd, err)
	require.Equal(t, []int{2, 3}, got.all())
}

func TestDoOfNilIsNilSoThatNewRefusesIt(t *testing.T) {
	require.Nil(t, dispatch.Do[int](nil))
	_, err := dispatch.New(dispatch.Do[int](nil))
	require.EqualError(t, err, "dispatch: New: the handler must not be nil")
}

func TestClosuresWithoutOutputAreInputsOfDo(t *testing.T) {
	type task = func(context.Context) error
	p := closing(t, dispatch.Must(dispatch.New(dispatch.Do(func(ctx context.Context, f task) error { return f(ctx) }))))
	ran := false
	_, err := p.Process(t.Context(), func(context.Context) error { ran = true; return nil })
	require.NoError(t, err)
	require.True(t, ran)
}
