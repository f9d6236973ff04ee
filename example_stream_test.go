package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"example.com/dispatch"
)

// How do I go through an input that is too long for memory, or has no end?
func ExamplePool_Stream() {
	next := func(_ context.Context, n int) (int, error) {
		if n%2 == 0 {
			return n / 2, nil
		}
		return 3*n + 1, nil
	}
	p := dispatch.Must(dispatch.New(next, dispatch.WithWorkers(4)))
	defer p.Close()

	// At most twice four numbers are taken ahead of the loop.
	var naturals iter.Seq[int] = func(yield func(int) bool) {
		for n := 1; yield(n); n++ {
		}
	}
	for r := range p.Stream(context.Background(), naturals) {
		if r.Err != nil {
			fmt.Println(r.Index, r.In, r.Err)
			return
		}
		fmt.Print(r.Out, " ")
		if r.Out == 22 {
			break // cancels the inputs that were taken ahead
		}
	}
	fmt.Println()
	// Output: 4 1 10 2 16 3 22
}

// How do I have results as they come, of an input that is long?
func ExampleUnordered() {
	wait := func(_ context.Context, ms int) (int, error) {
		time.Sleep(time.Duration(ms) * time.Millisecond)
		return ms, nil
	}
	p := dispatch.Must(dispatch.New(wait, dispatch.WithWorkers(3)))
	defer p.Close()

	for r := range p.Stream(context.Background(), slices.Values([]int{200, 1, 100}), dispatch.Unordered()) {
		fmt.Println(r.Index, r.Out, r.Err)
	}
	// Output:
	// 1 1 <nil>
	// 2 100 <nil>
	// 0 200 <nil>
}

// How do I keep a stream from reading far ahead?
func ExampleLookAhead() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(8)))
	defer p.Close()

	read := 0
	rows := func(yield func(int) bool) {
		for read < 1000 {
			read++
			if !yield(read) {
				return
			}
		}
	}
	for r := range p.Stream(context.Background(), rows, dispatch.LookAhead(1)) {
		if r.Out == 6 {
			break
		}
	}
	fmt.Println("rows read:", read)
	// Output: rows read: 3
}

// How do I put a pool between two stages that talk through channels?
func ExamplePool_StreamChan() {
	p := dispatch.Must(dispatch.New(func(_ context.Context, s string) (int, error) { return len(s), nil }))
	defer p.Close()

	words := make(chan string)
	go func() {
		defer close(words)
		for word := range strings.FieldsSeq("the quick brown fox") {
			words <- word
		}
	}()
	for r := range p.StreamChan(context.Background(), words) {
		fmt.Println(r.In, r.Out)
	}
	// Output:
	// the 3
	// quick 5
	// brown 5
	// fox 3
}

// How do I tell whether a stream is complete?
func ExamplePool_Stream_end() {
	p := dispatch.Must(dispatch.New(double, dispatch.WithWorkers(1)))
	defer p.Close()

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	for r := range p.Stream(ctx, slices.Values([]int{1, 2, 3})) {
		switch {
		case r.Index < 0:
			fmt.Println("ended early:", r.Err)
		case r.Err != nil:
			fmt.Println("job", r.Index, "failed:", r.Err)
		default:
			fmt.Println(r.Out)
			cancel(errors.New("enough"))
		}
	}
	// Output:
	// 2
	// ended early: enough
}
