package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/dispatch"
)

// fetched is the outcome of the first stage: URL, page, error.
type fetched = dispatch.Result[string, string]

// How do I chain two stages and still know which input failed?
//
// Problem: fetch with 20 workers, parse with 2. The second stage's inputs are
// pages, and an error of either stage should name the URL.
//
// Solution: the second pool takes the Result of the first as its input. A Stream
// yields Results, so the first stream is the input sequence of the second, and both
// use bounded memory. The second handler passes failures of the first stage on: in
// its Results, In is the outcome of the first stage and In.In the URL.
//
// Trap: if the first stream is cut short, its last Result has the Index -1. The
// second stream yields it as a failed job although no URL is to blame, so check
// In.Index. And while the second stage waits for the next page of the first, it
// yields nothing. If that matters, send the first stream into a channel, and read
// the channel with StreamChan.
func Example_chain() {
	fetch := func(_ context.Context, url string) (string, error) {
		if strings.HasPrefix(url, "gopher:") {
			return "", errors.New("unsupported protocol")
		}
		return "<title>" + strings.TrimPrefix(url, "https://") + "</title>", nil
	}
	title := func(_ context.Context, page fetched) (string, error) {
		if page.Err != nil {
			return "", fmt.Errorf("fetch: %w", page.Err)
		}
		_, rest, _ := strings.Cut(page.Out, "<title>")
		title, _, _ := strings.Cut(rest, "</title>")
		if title == "" {
			return "", errors.New("parse: no title")
		}
		return title, nil
	}
	fetchers := dispatch.Must(dispatch.New(fetch, dispatch.WithWorkers(20)))
	defer fetchers.Close()
	parsers := dispatch.Must(dispatch.New(title, dispatch.WithWorkers(2)))
	defer parsers.Close()

	ctx := context.Background()
	urls := slices.Values([]string{"https://go.dev", "gopher:hole", "https://", "https://pkg.go.dev"})
	for r := range parsers.Stream(ctx, fetchers.Stream(ctx, urls)) {
		if r.Err != nil {
			fmt.Printf("%s: %v\n", r.In.In, r.Err)
			continue
		}
		fmt.Printf("%s: %q\n", r.In.In, r.Out)
	}
	// Output:
	// https://go.dev: "go.dev"
	// gopher:hole: fetch: unsupported protocol
	// https://: parse: no title
	// https://pkg.go.dev: "pkg.go.dev"
}

// What does a chain yield when its first stage is cut short?
func Example_chainThatIsCutShort() {
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	first := dispatch.Must(dispatch.New(double))
	second := dispatch.Must(dispatch.New(func(_ context.Context, r dispatch.Result[int, int]) (int, error) {
		return r.Out + 1, r.Err
	}))
	defer second.Close()

	first.Close() // the pool of the first stage is closed before its stream starts
	ctx := context.Background()
	for r := range second.Stream(ctx, first.Stream(ctx, slices.Values([]int{1, 2, 3}))) {
		switch {
		case r.Index < 0:
			fmt.Println("second stage cut short:", r.Err)
		case r.In.Index < 0:
			fmt.Println("first stage cut short, closed:", errors.Is(r.Err, dispatch.ErrClosed))
		default:
			fmt.Println(r.In.In, r.Out, r.Err)
		}
	}
	// Output: first stage cut short, closed: true
}
