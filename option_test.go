package dispatch_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestTheDefaultLimitIsGOMAXPROCSReadInNew(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle)
		runtime.GOMAXPROCS(2) // too late to count
		for i := range 5 {
			_, err := p.Submit(t.Context(), i)
			require.NoError(t, err)
		}
		require.Len(t, h.entered(), 3)
		h.letAll()
	})
}

func TestTheDefaultQueueTakes1024AndThenBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, dispatch.WithWorkers(2))
		for i := range 2 + 1024 {
			_, err := p.TrySubmit(t.Context(), i)
			require.NoError(t, err, "job %d", i)
		}
		_, err := p.TrySubmit(t.Context(), 0)
		require.ErrorIs(t, err, dispatch.ErrQueueFull)
		c := calling(func() (*dispatch.Future[int], error) { return p.Submit(t.Context(), 0) })
		require.False(t, c.returned())
		h.letAll()
		require.NoError(t, c.requireReturn(t))
	})
}

func TestByDefaultAJobHasNoLimitOfTimeAndNoGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, nap)
		d, err := p.Process(t.Context(), 1000*time.Hour)
		require.NoError(t, err)
		require.Equal(t, 1000*time.Hour, d)

		f, err := p.Submit(t.Context(), time.Hour)
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, f.Cancel())
		time.Sleep(time.Hour - 1)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Running, "a handler that ignores its context keeps its slot")
		require.Zero(t, p.Stats().Strays)
	})
}

func TestTheDefaultLoggerIsSlogDefaultAtTheTimeOfLogging(t *testing.T) {
	var early, late logbook
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(early.logger())
	p := openPool(t, func(context.Context, int) (int, error) { panic("boo") })
	slog.SetDefault(late.logger())
	_, err := p.Process(t.Context(), 1)
	require.Error(t, err)
	require.Empty(t, early.all())
	late.requireLine(t, "dispatch: job panicked", "boo", "TestTheDefaultLogger")
	require.NotContains(t, late.all()[0], "pool=", "a pool without a name gives none")
}

func TestAPoolIsNamedInStatsAndInItsLogLines(t *testing.T) {
	var log logbook
	p := openPool(t, func(context.Context, int) (int, error) { panic("boo") }, dispatch.WithName("thumbs"), dispatch.WithLogger(log.logger()))
	_, err := p.Process(t.Context(), 1)
	require.Error(t, err)
	require.Equal(t, "thumbs", p.Stats().Name)
	log.requireLine(t, "pool=thumbs")
}

func TestAPanicHandlerTakesThePlaceOfTheLogLine(t *testing.T) {
	var log logbook
	var told notes[*dispatch.PanicError]
	p := openPool(t, func(context.Context, int) (int, error) { panic("boo") },
		dispatch.WithLogger(log.logger()), dispatch.WithPanicHandler(told.add))
	_, err := p.Process(t.Context(), 1)
	var perr *dispatch.PanicError
	require.ErrorAs(t, err, &perr)
	require.Equal(t, []*dispatch.PanicError{perr}, told.all(), "it has been told before the outcome was given")
	require.Empty(t, log.all())
}

func TestAWrongOptionIsRefusedWithItsNameAndValue(t *testing.T) {
	type wrong struct {
		opt         dispatch.Option
		name, value string
	}
	for name, row := range map[string]wrong{
		"no workers":          {dispatch.WithWorkers(0), "WithWorkers", "0"},
		"negative workers":    {dispatch.WithWorkers(-3), "WithWorkers", "-3"},
		"negative minimum":    {dispatch.WithMinWorkers(-1), "WithMinWorkers", "-1"},
		"minimum above limit": {dispatch.WithMinWorkers(1 << 20), "WithMinWorkers", "1048576"},
		"negative idle time":  {dispatch.WithIdleTimeout(-time.Second), "WithIdleTimeout", "-1s"},
		"negative queue":      {dispatch.WithQueue(-7), "WithQueue", "-7"},
		"negative policy":     {dispatch.WithOverflow(-1), "WithOverflow", "-1"},
		"unknown policy":      {dispatch.WithOverflow(dispatch.CallerRuns + 1), "WithOverflow", "4"},
		"negative job limit":  {dispatch.WithJobTimeout(-1), "WithJobTimeout", "-1ns"},
		"negative grace":      {dispatch.WithGrace(-time.Minute, 1), "WithGrace", "-1m0s"},
		"no strays":           {dispatch.WithGrace(time.Second, 0), "WithGrace", "0"},
		"negative strays":     {dispatch.WithGrace(time.Second, -2), "WithGrace", "-2"},
		"nil logger":          {dispatch.WithLogger(nil), "WithLogger", "nil"},
		"nil panic handler":   {dispatch.WithPanicHandler(nil), "WithPanicHandler", "nil"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := dispatch.New(double, dispatch.WithName("x"), row.opt)
			require.Nil(t, p)
			require.ErrorContains(t, err, row.name)
			require.ErrorContains(t, err, row.value)

			w, err := dispatch.NewWorkers(toolbox(new(notes[string]), workerOf{}), row.opt)
			require.Nil(t, w)
			require.ErrorContains(t, err, row.name)
			require.ErrorContains(t, err, row.value)
		})
	}
}

func TestTheMinimumIsComparedWithTheLimitWhateverTheirOrder(t *testing.T) {
	for name, opts := range map[string][]dispatch.Option{
		"limit first":   {dispatch.WithWorkers(4), dispatch.WithMinWorkers(5)},
		"minimum first": {dispatch.WithMinWorkers(5), dispatch.WithWorkers(4)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dispatch.New(double, opts...)
			require.ErrorContains(t, err, "WithMinWorkers(5)")
			require.ErrorContains(t, err, "4")
		})
	}
	_, err := dispatch.New(double, dispatch.WithMinWorkers(5), dispatch.WithWorkers(5))
	require.NoError(t, err)
}

func TestTheSmallestAndLargestValuesAreTaken(t *testing.T) {
	for name, opt := range map[string]dispatch.Option{
		"one worker":    dispatch.WithWorkers(1),
		"no limit":      dispatch.WithWorkers(dispatch.Unlimited),
		"no minimum":    dispatch.WithMinWorkers(0),
		"no idle time":  dispatch.WithIdleTimeout(0),
		"no queue":      dispatch.WithQueue(0),
		"no job limit":  dispatch.WithJobTimeout(0),
		"no grace":      dispatch.WithGrace(0, 1),
		"last policy":   dispatch.WithOverflow(dispatch.CallerRuns),
		"an empty name": dispatch.WithName(""),
	} {
		t.Run(name, func(t *testing.T) {
			p := openPool(t, double, opt)
			out, err := p.Process(t.Context(), 21)
			require.NoError(t, err)
			require.Equal(t, 42, out)
		})
	}
}

func TestWhatIsNilIsRefusedByName(t *testing.T) {
	_, err := dispatch.New[int, int](nil)
	require.ErrorContains(t, err, "handler")
	_, err = dispatch.NewWorkers[int, int](nil)
	require.ErrorContains(t, err, "newWorker")
	_, err = dispatch.New(double, dispatch.WithQueue(1), nil)
	require.ErrorContains(t, err, "option 1 is nil")
	_, err = dispatch.NewWorkers(toolbox(new(notes[string]), workerOf{}), nil)
	require.ErrorContains(t, err, "option 0 is nil")
}

func TestNewWorkersRefusesCallerRuns(t *testing.T) {
	_, err := dispatch.NewWorkers(toolbox(new(notes[string]), workerOf{}), dispatch.WithOverflow(dispatch.CallerRuns))
	require.ErrorContains(t, err, "WithOverflow(CallerRuns)")
}

func TestOfTwoEqualOptionsTheLastCounts(t *testing.T) {
	p := openPool(t, double, dispatch.WithName("a"), dispatch.WithName("b"))
	require.Equal(t, "b", p.Stats().Name)
}

func TestMustPanicsWithTheError(t *testing.T) {
	require.Equal(t, 7, dispatch.Must(7, nil))
	require.PanicsWithError(t, dispatch.ErrClosed.Error(), func() { dispatch.Must(7, dispatch.ErrClosed) })
}
