// Wordcount prints the most frequent words of some files.
//
//	go run ./examples/wordcount                    # of the .go and .md files of this folder and below
//	go run ./examples/wordcount -top 20 FILE...    # of these
//	cat FILE | go run ./examples/wordcount -       # of the standard input
//
// It shows a stream: lines are read from an iterator only as fast as the pool
// counts them, and the counts come back in the order of the input, so a text of
// any length is worked through in bounded memory.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"example.com/dispatch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(1)
	}
}

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("wordcount", flag.ContinueOnError)
	top := flags.Int("top", 10, "how `many` words to print")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "how `many` blocks of lines are counted at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *top < 1 {
		return fmt.Errorf("invalid value %d for flag -top: must be 1 or more", *top)
	}
	files := flags.Args()
	if len(files) == 0 {
		var err error
		if files, err = findTexts("."); err != nil {
			return err
		}
	}
	words, err := count(ctx, &source{files: files, stdin: stdin}, *workers)
	if err != nil {
		return err
	}
	for _, word := range mostFrequent(words, *top) {
		fmt.Fprintf(stdout, "%7d %s\n", words[word], word)
	}
	fmt.Fprintf(stdout, "%d different words in %d files\n", len(words), len(files))
	return nil
}

// findTexts returns the .go and .md files in dir and below, hidden folders left out.
func findTexts(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); d.Type().IsRegular() && (ext == ".go" || ext == ".md") {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// count counts the words of src on a pool. The first error ends it.
func count(ctx context.Context, src *source, workers int) (map[string]int, error) {
	pool, err := dispatch.New(countBlock, dispatch.WithName("wordcount"), dispatch.WithWorkers(workers))
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	total := make(map[string]int)
	for r := range pool.Stream(ctx, src.blocks) {
		if r.Err != nil {
			return nil, r.Err
		}
		for word, n := range r.Out {
			total[word] += n
		}
	}
	return total, src.err
}

// countBlock is the pool's handler. Its input is small, so it need not watch its
// context: an interrupted program waits at most for the blocks that are counted.
func countBlock(_ context.Context, lines []string) (map[string]int, error) {
	counts := make(map[string]int)
	for _, line := range lines {
		for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return !unicode.IsLetter(r) }) {
			counts[strings.ToLower(word)]++
		}
	}
	return counts, nil
}

// mostFrequent returns at most n words, the most frequent first and words that
// are as frequent as each other in alphabetical order.
func mostFrequent(counts map[string]int, n int) []string {
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return words[:min(n, len(words))]
}
