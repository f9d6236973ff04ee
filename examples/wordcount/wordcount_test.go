package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestWordsOfTheStandardInputAreCounted(t *testing.T) {
	var stdout bytes.Buffer
	stdin := strings.NewReader("One fish, two fish.\nRed fish, blue fish:\nblue, red and red\n")
	require.NoError(t, run(t.Context(), []string{"-top", "3", "-"}, stdin, &stdout))
	require.Equal(t, ""+
		"      4 fish\n"+
		"      3 red\n"+
		"      2 blue\n"+
		"6 different words in 1 files\n", stdout.String())
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
	var stdout bytes.Buffer
	require.NoError(t, run(t.Context(), nil, nil, &stdout))
	require.Contains(t, stdout.String(), "different words in 3 files\n")
}

func TestUnreadableFileEndsTheCount(t *testing.T) {
	err := run(t.Context(), []string{"main.go", "missing.txt"}, nil, new(bytes.Buffer))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "missing.txt")

	endless := strings.NewReader(strings.Repeat("x", 2<<20))
	err = run(t.Context(), []string{"-"}, endless, new(bytes.Buffer))
	require.ErrorContains(t, err, "token too long")
}

func TestInterruptEndsTheCount(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	interrupt(enough)
	require.ErrorIs(t, run(ctx, []string{"main.go"}, nil, new(bytes.Buffer)), enough)
}

func TestWrongFlags(t *testing.T) {
	err := run(t.Context(), []string{"-top", "0"}, nil, new(bytes.Buffer))
	require.ErrorContains(t, err, "invalid value 0 for flag -top")
	require.Error(t, run(t.Context(), []string{"-workers", "0", "main.go"}, nil, new(bytes.Buffer)))
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
