// Package words formats numbers for people.
package words

import (
	"fmt"
	"strconv"
	"time"

	"github.com/vbauerster/mpb/v8/decor"
)

// Count returns a number with its noun: 1 zip, 2 zips, 7,712 zips.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Number(n) + " " + noun
}

// Number formats n, which must not be negative, with a comma before each three digits.
func Number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes formats a number of bytes: 12 B, 103.4 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return fmt.Sprintf("% .1f", decor.SizeB1000(n))
}

// Time formats d with only the significant digits of a measurement.
func Time(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	case d > 10*time.Microsecond:
		return d.Round(time.Microsecond)
	}
	return d
}
