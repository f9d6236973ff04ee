package dispatch

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
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
		p := openPool(t, h.handle, WithWorkers(2))
		for i := range 2 + 1024 {
			_, err := p.TrySubmit(t.Context(), i)
			require.NoError(t, err, "job %d", i)
		}
		_, err := p.TrySubmit(t.Context(), 0)
		require.ErrorIs(t, err, ErrQueueFull)
		c := calling(func() (*Future[int], error) { return p.Submit(t.Context(), 0) })
		require.False(t, c.returned())
		h.letAll()
		require.NoError(t, c.requireReturn(t))
	})
}

func TestTheDefaultIdleTimeoutIsTenSecondsDownToNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, WithWorkers(3))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Workers)
		time.Sleep(1)
		synctest.Wait()
		require.Zero(t, p.Stats().Workers)
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
		require.Equal(t, 1, p.Stats().Running, "a handler that ignores its context keeps its place")
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
	p := openPool(t, func(context.Context, int) (int, error) { panic("boo") }, WithName("thumbs"), WithLogger(log.logger()))
	_, err := p.Process(t.Context(), 1)
	require.Error(t, err)
	require.Equal(t, "thumbs", p.Stats().Name)
	log.requireLine(t, "pool=thumbs")
}

func TestAPanicHandlerTakesThePlaceOfTheLogLine(t *testing.T) {
	var log logbook
	var told notes[*PanicError]
	p := openPool(t, func(context.Context, int) (int, error) { panic("boo") },
		WithLogger(log.logger()), WithPanicHandler(told.add))
	_, err := p.Process(t.Context(), 1)
	var perr *PanicError
	require.ErrorAs(t, err, &perr)
	require.Equal(t, []*PanicError{perr}, told.all(), "it has been told before the outcome was given")
	require.Empty(t, log.all())
}

func TestAWrongOptionIsRefusedWithItsNameAndValue(t *testing.T) {
	type wrong struct {
		opt         Option
		name, value string
	}
	for name, row := range map[string]wrong{
		"no workers":          {WithWorkers(0), "WithWorkers", "0"},
		"negative workers":    {WithWorkers(-3), "WithWorkers", "-3"},
		"negative minimum":    {WithMinWorkers(-1), "WithMinWorkers", "-1"},
		"minimum above limit": {WithMinWorkers(1 << 20), "WithMinWorkers", "1048576"},
		"negative idle time":  {WithIdleTimeout(-time.Second), "WithIdleTimeout", "-1s"},
		"negative queue":      {WithQueue(-7), "WithQueue", "-7"},
		"negative policy":     {WithOverflow(-1), "WithOverflow", "-1"},
		"unknown policy":      {WithOverflow(CallerRuns + 1), "WithOverflow", "4"},
		"negative job limit":  {WithJobTimeout(-1), "WithJobTimeout", "-1ns"},
		"negative grace":      {WithGrace(-time.Minute, 1), "WithGrace", "-1m0s"},
		"no strays":           {WithGrace(time.Second, 0), "WithGrace", "0"},
		"negative strays":     {WithGrace(time.Second, -2), "WithGrace", "-2"},
		"nil logger":          {WithLogger(nil), "WithLogger", "nil"},
		"nil panic handler":   {WithPanicHandler(nil), "WithPanicHandler", "nil"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(double, WithName("x"), row.opt)
			require.Nil(t, p)
			require.ErrorContains(t, err, row.name)
			require.ErrorContains(t, err, row.value)

			w, err := NewWorkers(toolbox(new(notes[string]), tool{}), row.opt)
			require.Nil(t, w)
			require.ErrorContains(t, err, row.name)
			require.ErrorContains(t, err, row.value)
		})
	}
}

func TestTheMinimumIsComparedWithTheLimitWhateverTheirOrder(t *testing.T) {
	for name, opts := range map[string][]Option{
		"limit first":   {WithWorkers(4), WithMinWorkers(5)},
		"minimum first": {WithMinWorkers(5), WithWorkers(4)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(double, opts...)
			require.ErrorContains(t, err, "WithMinWorkers(5)")
			require.ErrorContains(t, err, "4")
		})
	}
	_, err := New(double, WithMinWorkers(5), WithWorkers(5))
	require.NoError(t, err)
}

func TestTheSmallestAndLargestValuesAreTaken(t *testing.T) {
	for name, opt := range map[string]Option{
		"one worker":    WithWorkers(1),
		"no limit":      WithWorkers(Unlimited),
		"no minimum":    WithMinWorkers(0),
		"no idle time":  WithIdleTimeout(0),
		"no queue":      WithQueue(0),
		"no job limit":  WithJobTimeout(0),
		"no grace":      WithGrace(0, 1),
		"last policy":   WithOverflow(CallerRuns),
		"an empty name": WithName(""),
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
	_, err := New[int, int](nil)
	require.ErrorContains(t, err, "handler")
	_, err = NewWorkers[int, int](nil)
	require.ErrorContains(t, err, "newWorker")
	_, err = New(double, WithQueue(1), nil)
	require.ErrorContains(t, err, "option 1 is nil")
	_, err = NewWorkers(toolbox(new(notes[string]), tool{}), nil)
	require.ErrorContains(t, err, "option 0 is nil")
}

func TestNewWorkersRefusesCallerRuns(t *testing.T) {
	_, err := NewWorkers(toolbox(new(notes[string]), tool{}), WithOverflow(CallerRuns))
	require.ErrorContains(t, err, "WithOverflow(CallerRuns)")
}

func TestOfTwoEqualOptionsTheLastCounts(t *testing.T) {
	p := openPool(t, double, WithName("a"), WithName("b"))
	require.Equal(t, "b", p.Stats().Name)
}

func TestMustPanicsWithTheError(t *testing.T) {
	require.Equal(t, 7, Must(7, nil))
	require.PanicsWithError(t, ErrClosed.Error(), func() { Must(7, ErrClosed) })
}

func TestTheMinimumOfWorkersIsKeptOnceStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld()
		p := openPool(t, h.handle, WithWorkers(4), WithMinWorkers(2), WithIdleTimeout(time.Minute))
		require.Zero(t, p.Stats().Workers, "New starts none")
		for i := range 4 {
			_, err := p.Submit(t.Context(), i)
			require.NoError(t, err)
		}
		require.Len(t, h.entered(), 4)
		h.letAll()
		synctest.Wait()
		require.Equal(t, 4, p.Stats().Workers)
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		require.Equal(t, 4, p.Stats().Workers)
		time.Sleep(1)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Workers)
		time.Sleep(1000 * time.Hour)
		synctest.Wait()
		require.Equal(t, 2, p.Stats().Workers)
		require.NoError(t, p.Resize(1))
		synctest.Wait()
		require.Equal(t, 1, p.Stats().Workers, "a limit below the minimum counts")
	})
}

func TestWithNoIdleTimeNoWorkerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openPool(t, double, WithIdleTimeout(0))
		_, err := p.Process(t.Context(), 1)
		require.NoError(t, err)
		synctest.Wait()
		require.Zero(t, p.Stats().Workers)
	})
}
