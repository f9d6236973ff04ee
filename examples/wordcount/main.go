// Wordcount prints the most frequent words of some files.
//
//	go run ./examples/wordcount                    # of the .go and .md files in this folder and below
//	go run ./examples/wordcount -top 20 FILE...    # of these files
//	cat FILE | go run ./examples/wordcount -       # of the standard input
//
// It shows a stream: blocks of lines arrive on a channel only as fast as the pool
// counts them, and the counts come back in the order of the input, so the program
// reads a text of any length in bounded memory. Ctrl-C ends it at once, even while it
// waits for input.
//
// The exit status is
//
//	0         all words were counted
//	1         a file could not be read
//	2         the command line is wrong
//	130, 143  ended by Ctrl-C, by SIGTERM
package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"example.com/dispatch"
	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/words"
)

func main() {
	cli.Main("wordcount", run)
}

const synopsis = `Usage: wordcount [-top N] [-workers N] [FILE...]

Prints the most frequent words of the files; - is the standard input. Without
any it counts the .go and .md files of this folder and below.`

// run is the program.
func run(ctx context.Context, args []string, std cli.Streams) error {
	top, workers := 10, runtime.GOMAXPROCS(0)
	flags := cli.NewFlags("wordcount", synopsis)
	flags.Count(&top, 1, "top", "how `many` words to print")
	flags.Count(&workers, 1, "workers", "how `many` blocks of lines are counted at once; the default is one per processor")
	if err := flags.ParseWithArgs(args, std); err != nil {
		return err
	}
	files := flags.Args()
	if len(files) == 0 {
		var err error
		if files, err = findTexts("."); err != nil {
			return err
		}
	}
	found, err := count(ctx, &source{files: files, stdin: std.In}, workers)
	if err != nil {
		return err
	}
	for _, word := range mostFrequent(found, top) {
		fmt.Fprintf(std.Out, "%7d %s\n", found[word], word)
	}
	fmt.Fprintf(std.Out, "%s in %s\n", words.Count(len(found), "different word"), words.Count(len(files), "file"))
	return nil
}

// findTexts returns the .go and .md files in dir and below, without hidden folders.
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

// count counts the words of src on a pool. It returns at the first error, and when
// ctx ends, even while src waits for input.
func count(ctx context.Context, src *source, workers int) (map[string]int, error) {
	pool, err := dispatch.New(countBlock,
		dispatch.WithName("wordcount"),
		dispatch.WithWorkers(workers),
	)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	total := make(map[string]int)
	for r := range pool.StreamChan(ctx, src.start(reading)) {
		if r.Err != nil {
			return nil, r.Err
		}
		for word, n := range r.Out {
			total[word] += n
		}
	}
	return total, src.err
}

// countBlock is the pool's handler. Its input is small, so it need not check its
// context: an interrupted program waits at most for the blocks that are being counted.
func countBlock(_ context.Context, lines []string) (map[string]int, error) {
	counts := make(map[string]int)
	for _, line := range lines {
		for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return !unicode.IsLetter(r) }) {
			counts[strings.ToLower(word)]++
		}
	}
	return counts, nil
}

// mostFrequent returns at most n words, the most frequent first. Words of equal
// frequency are in alphabetical order.
func mostFrequent(counts map[string]int, n int) []string {
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return words[:min(n, len(words))]
}
