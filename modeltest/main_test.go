package modeltest

import (
	"bytes"
	"flag"
	"fmt"
	"iter"
	"os"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	sequences = flag.Int("sequences", 20_000, "how many programs TestModel runs (a quarter under the race detector, a hundredth with -short)")
	stressFor = flag.Duration("stress", 0, "how long the stress tests run, all together, instead of a number of rounds")
	full      = flag.Bool("full", false, "the full counts, also under the race detector")
)

func TestMain(m *testing.M) {
	flag.Parse()
	set := func(name, value string) {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	if !given("rapid.checks") {
		checks := count(*sequences) / shards
		if testing.Short() {
			checks *= 5 // rapid divides by 5 itself
		}
		set("rapid.checks", strconv.Itoa(checks))
	}
	if !given("rapid.nofailfile") {
		set("rapid.nofailfile", "true") // a failure says how to put it into the corpus
	}
	if *stressFor > 0 {
		set("test.timeout", "0") // the go command's own timeout still holds
	}
	code := m.Run()
	if code == 0 && !given("test.fuzz") && !given("test.fuzzworker") {
		code = leftovers()
	}
	os.Exit(code)
}

// given reports whether a flag was set on the command line.
func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// count returns how many of n rounds to run: all of them in a plain go test, fewer under
// the race detector, and a hundredth with -short.
func count(n int) int {
	if testing.Short() {
		n /= 100
	}
	if raceEnabled && !*full {
		n /= 4
	}
	return max(n, 2*shards)
}

// rounds yields the numbers of the rounds of a stress test: n rounds, or with -stress as
// many as the test's share of the time allows.
func rounds(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		n, end := count(n), time.Now().Add(*stressFor/stressParts)
		for i := 0; *stressFor > 0 && time.Now().Before(end) || *stressFor == 0 && i < n; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// leftovers looks for goroutines that outlive the tests; in a build with
// GOEXPERIMENT=goroutineleakprofile also for those that the garbage collector
// proves can never go on.
func leftovers() (code int) {
	if p := pprof.Lookup("goroutineleak"); p != nil {
		var b bytes.Buffer
		if err := p.WriteTo(&b, 1); err != nil {
			fmt.Println("goroutineleak profile:", err)
			return 1
		}
		if !bytes.HasPrefix(b.Bytes(), []byte("goroutineleak profile: total 0\n")) {
			fmt.Printf("leaked goroutines:\n%s", b.Bytes())
			return 1
		}
		fmt.Println("goroutineleak profile: empty")
	}
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
