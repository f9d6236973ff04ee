package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch/examples/internal/cli"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// wordcountArgs runs the program as main does.
func wordcountArgs(ctx context.Context, stdin io.Reader, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = cli.Run(ctx, "wordcount", run, args, cli.Streams{In: stdin, Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

func TestWordsOfTheStandardInputAreCounted(t *testing.T) {
	stdin := strings.NewReader("One fish, two fish.\nRed fish, blue fish:\nblue, red and red\n")
	status, stdout, stderr := wordcountArgs(t.Context(), stdin, "-top", "3", "-")
	require.Equal(t, cli.Good, status, stderr)
	require.Equal(t, ""+
		"      4 fish\n"+
		"      3 red\n"+
		"      2 blue\n"+
		"6 different words in 1 file\n", stdout)
}

func TestLongTextIsCountedWholeByAnyNumberOfWorkers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "long.md")
	require.NoError(t, os.WriteFile(name, bytes.Repeat([]byte("a line of five words\n"), 100_001), 0o644))
	for _, workers := range []int{1, 2, 7} {
		words, err := count(t.Context(), &source{files: []string{name, name}}, workers)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"a": 200_002, "line": 200_002, "of": 200_002, "five": 200_002, "words": 200_002}, words)
	}
}

func TestOwnTextsAreFound(t *testing.T) {
	files, err := findTexts(".")
	require.NoError(t, err)
	require.Equal(t, []string{"main.go", "source.go", "wordcount_test.go"}, files)
	status, stdout, stderr := wordcountArgs(t.Context(), nil)
	require.Equal(t, cli.Good, status, stderr)
	require.Contains(t, stdout, "different words in 3 files\n")
}

func TestUnreadableFileEndsTheCount(t *testing.T) {
	status, stdout, stderr := wordcountArgs(t.Context(), nil, "main.go", "missing.txt")
	require.Equal(t, cli.Failed, status)
	require.Empty(t, stdout)
	require.Regexp(t, `^wordcount: missing.txt: open missing.txt: .*\n$`, stderr)

	endless := strings.NewReader(strings.Repeat("x", 2<<20))
	status, _, stderr = wordcountArgs(t.Context(), endless, "-")
	require.Equal(t, cli.Failed, status)
	require.Equal(t, "wordcount: -: bufio.Scanner: token too long\n", stderr)
}

func TestAnInterruptEndsTheCount(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(cli.Signal{Signal: os.Interrupt})
	status, stdout, stderr := wordcountArgs(ctx, nil, "main.go")
	require.Equal(t, 130, status)
	require.Empty(t, stdout)
	require.Equal(t, "wordcount: interrupted\n", stderr)
}

func TestAnInterruptEndsTheCountWhileTheInputSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancelCause(t.Context())
		stdin, typing := io.Pipe()
		defer typing.Close() // ends the read that nobody waits for
		over := make(chan int, 1)
		go func() {
			status, _, _ := wordcountArgs(ctx, stdin, "-")
			over <- status
		}()
		synctest.Wait()
		require.Empty(t, over)
		interrupt(cli.Signal{Signal: os.Interrupt})
		synctest.Wait()
		require.Equal(t, 130, <-over)
	})
}

func TestWrongFlags(t *testing.T) {
	for _, flag := range []string{"-top=0", "-workers=0", "-workers=many"} {
		status, stdout, stderr := wordcountArgs(t.Context(), nil, flag, "main.go")
		require.Equal(t, cli.Usage, status)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "invalid value")
	}
	status, stdout, _ := wordcountArgs(t.Context(), nil, "-help")
	require.Equal(t, cli.Good, status)
	require.Contains(t, stdout, "Usage: wordcount ")
}

func TestBlocksHoldEveryLineInOrder(t *testing.T) {
	for _, n := range []int{0, 1, blockLines - 1, blockLines, blockLines + 1, 3 * blockLines} {
		src := &source{files: []string{"-"}, stdin: strings.NewReader(strings.Repeat("line\n", n))}
		blocks := slices.Collect(src.blocks)
		require.NoError(t, src.err)
		require.Len(t, slices.Concat(blocks...), n)
		require.Len(t, blocks, (n+blockLines-1)/blockLines)
	}
}
