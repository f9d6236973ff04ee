package page

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADurationIsSaidInUnitsThatPeopleSay(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0", 0: "0", 1: "< 1 µs", 999: "< 1 µs", 1000: "1 µs", 1234: "1.23 µs", 12345: "12.3 µs", 123456: "123 µs", 999499: "999 µs", 999500: "1 ms",
		1500 * time.Microsecond: "1.5 ms", 999499 * time.Microsecond: "999 ms", 999500 * time.Microsecond: "1 s",
		9996 * time.Millisecond: "10 s", 99 * time.Second: "99 s", 100 * time.Second: "1 min 40 s", 2 * time.Minute: "2 min",
		119*time.Second + 600*time.Millisecond: "2 min", 99 * time.Minute: "99 min", 100 * time.Minute: "1 h 40 min", 3 * time.Hour: "3 h",
		47 * time.Hour: "47 h", 50 * time.Hour: "2 d 2 h", math.MaxInt64: "106751 d 23 h",
	} {
		require.Equal(t, want, duration(d), "%d ns", d)
	}
}

func TestAnAmountHasAllItsDigitsUpToAMillion(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12_034: "12,034", 999_999: "999,999", 1_000_000: "1 M", 1_234_567: "1.23 M",
		999_400_000: "999 M", 999_600_000: "1 G", 12_345_678_901: "12.3 G", 5e12: "5 T", math.MaxUint64: "999 T",
	} {
		require.Equal(t, want, amount(n))
	}
	require.Equal(t, "0.33", perSecond(1.0/3))
	require.Equal(t, "99.9", perSecond(99.94))
	require.Equal(t, "12,346", perSecond(12345.6))
}

func TestATextIsCutBetweenItsRunes(t *testing.T) {
	require.Equal(t, "abc", cut("abc", 3))
	require.Equal(t, "ab… (2 bytes more)", cut("abcd", 2))
	require.Equal(t, "a… (3 bytes more)", cut("aéb", 2))
	require.Equal(t, "a… (8 bytes more)", cut("a😀😀", 4))
	require.Equal(t, "\uFFFD", cut("\x80\x80", 4))
	require.Contains(t, cut(strings.Repeat("\x80", 10), 4), "bytes more)")
}

func TestALineHasNothingThatATerminalObeys(t *testing.T) {
	require.Equal(t, "a b \uFFFD[31mc", oneLine("a\nb\t\x1b[31mc"))
	require.Equal(t, "a\uFFFDb", oneLine("a\u202Eb"), "the direction of text is turned by this, too")
}
