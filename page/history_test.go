package page

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestSnapshotsAreTakenOnceASecondAndKeptForAMinute(t *testing.T) {
	var h history
	start := time.Now()
	for i := range 1000 { // ten looks a second, for 100 s
		r := h.add(start.Add(time.Duration(i)*100*time.Millisecond), dispatch.Stats{})
		require.LessOrEqual(t, r.span(), window)
		require.LessOrEqual(t, len(r.past), 67)
	}
	for i, s := range h.snapshots[1:] {
		require.GreaterOrEqual(t, s.at.Sub(h.snapshots[i].at), spacing)
	}
	require.LessOrEqual(t, cap(h.snapshots), 200, "what is old is let go")
}

func TestWhatWasSeenDoesNotChangeWhenMoreIsSeen(t *testing.T) {
	var h history
	start := time.Now()
	h.add(start, dispatch.Stats{Succeeded: 1})
	r := h.add(start.Add(time.Second), dispatch.Stats{Succeeded: 2})
	for i := range 200 {
		h.add(start.Add(time.Duration(i+2)*time.Second), dispatch.Stats{})
	}
	require.Len(t, r.past, 1)
	require.Equal(t, uint64(1), r.past[0].stats.Succeeded)
	require.Equal(t, uint64(1), r.since(ended))
}

func TestTheRateIsThatOfTheLastFiveSeconds(t *testing.T) {
	var h history
	start := time.Now()
	at := func(second int, ended uint64) (float64, bool) {
		return h.add(start.Add(time.Duration(second)*time.Second), dispatch.Stats{Succeeded: ended}).rate()
	}
	_, ok := at(0, 1000)
	require.False(t, ok)
	_, ok = h.add(start.Add(time.Millisecond), dispatch.Stats{Succeeded: 1004}).rate()
	require.False(t, ok, "what ended in a millisecond tells nothing of a second")
	v, ok := at(1, 1010)
	require.True(t, ok)
	require.InDelta(t, 10, v, 1e-9)
	for i := 2; i <= 10; i++ {
		v, _ = at(i, 1010)
	}
	require.Zero(t, v)
	v, _ = at(11, 1510)
	require.InDelta(t, 100, v, 1e-9)
}

func TestItIsKnownForHowLongNothingHasEnded(t *testing.T) {
	var h history
	start := time.Now()
	at := func(second int, ended uint64) time.Duration {
		return h.add(start.Add(time.Duration(second)*time.Second), dispatch.Stats{Failed: ended}).quiet()
	}
	require.Zero(t, at(0, 7))
	require.Equal(t, 2*time.Second, at(2, 7))
	require.Zero(t, at(3, 8))
	require.Equal(t, 4*time.Second, at(7, 8))
}
