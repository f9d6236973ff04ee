package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Text from user code is cut at these many bytes.
const (
	maxLabel = 120
	maxError = 2000
	maxStack = 2500 // from the call of panic on
)

// duration formats d with about three digits, in units that people use.
func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "0"
	case d < time.Microsecond:
		return "< 1 µs"
	case d < 999500*time.Nanosecond:
		return digits(float64(d)/1e3) + " µs"
	case d < 999500*time.Microsecond:
		return digits(float64(d)/1e6) + " ms"
	case d < 100*time.Second:
		return digits(d.Seconds()) + " s"
	case d < 100*time.Minute:
		return twoUnits(d, time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return twoUnits(d, time.Hour, "h", time.Minute, "min")
	}
	return twoUnits(d, 24*time.Hour, "d", time.Hour, "h")
}

// ago says how long ago something happened.
func ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return duration(d.Truncate(time.Second)) + " ago"
}

// digits formats v, which is below 1000, with three digits and without trailing
// zeros: "1", not "1.00".
func digits(v float64) string {
	decimals := 2
	switch {
	case v >= 99.95:
		decimals = 0
	case v >= 9.995:
		decimals = 1
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func twoUnits(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	d = d.Round(small)
	if rest := d % big / small; rest > 0 {
		return fmt.Sprintf("%d %s %d %s", d/big, bigName, rest, smallName)
	}
	return fmt.Sprintf("%d %s", d/big, bigName)
}

// amount formats n for people: all digits below a million, three digits from there.
func amount[N int | uint64](n N) string {
	switch {
	case uint64(n) < 1000:
		return strconv.FormatUint(uint64(n), 10)
	case uint64(n) < 1_000_000:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	case float64(n) < 999.5e6:
		return digits(float64(n)/1e6) + " M"
	case float64(n) < 999.5e9:
		return digits(float64(n)/1e9) + " G"
	}
	return digits(math.Min(float64(n)/1e12, 999)) + " T"
}

// perSecond formats a rate.
func perSecond(v float64) string {
	if v < 99.95 {
		return digits(v)
	}
	return amount(uint64(math.Round(v)))
}

// cut returns s as valid UTF-8, and its beginning if it has more than limit bytes.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	end := limit
	for end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.ToValidUTF8(s[:end], "\uFFFD") + fmt.Sprintf("… (%d bytes more)", len(s)-end)
}

// oneLine returns s without line breaks, terminal control characters, and
// characters that change the direction of text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return '\uFFFD'
		}
		return r
	}, s)
}
