package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestEveryPictureGetsItsThumbnail(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, drawSamples(in, 4))
	var stdout bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-in", in, "-out", out, "-size", "100", "-workers", "2"}, &stdout))
	require.Contains(t, stdout.String(), "4 thumbnails made")

	pictures, err := findPictures(in)
	require.NoError(t, err)
	require.Len(t, pictures, 4)
	for i, name := range pictures {
		picture, err := decode(filepath.Join(out, filepath.Base(name)))
		require.NoError(t, err)
		require.Equal(t, 100, picture.Bounds().Dx(), "the samples are broad")
		require.Less(t, picture.Bounds().Dy(), 100)
		require.True(t, strings.HasPrefix(strings.Split(stdout.String(), "\n")[i], filepath.Base(name)), "in the order of the names")
	}
}

func TestBrokenPictureStopsNobody(t *testing.T) {
	in := t.TempDir()
	require.NoError(t, drawSamples(in, 2))
	require.NoError(t, os.WriteFile(filepath.Join(in, "a.png"), []byte("no picture"), 0o644))
	var stdout bytes.Buffer
	err := run(t.Context(), []string{"-in", in}, &stdout)
	require.EqualError(t, err, "1 of 3 pictures failed")
	require.Contains(t, stdout.String(), "a.png: image: unknown format\n")
	require.Contains(t, stdout.String(), "2 thumbnails made")
}

func TestOneWorkerMakesThemAll(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, drawSamples(in, 3))
	pictures, err := findPictures(in)
	require.NoError(t, err)
	var stdout bytes.Buffer
	require.NoError(t, makeThumbs(t.Context(), pictures, out, 50, 1, &stdout))
	require.Contains(t, stdout.String(), "3 thumbnails made, by each worker: [3]\n")
}

func TestInterruptedRunMakesNoMore(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, drawSamples(in, 1))
	ctx, interrupt := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	interrupt(enough)
	require.ErrorIs(t, run(ctx, []string{"-in", in, "-out", out}, new(bytes.Buffer)), enough)
	entries, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestWrongFlags(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-size 0", "invalid value 0 for flag -size"},
		{"-workers 0", "0"},
		{"-in missing", "missing"},
	} {
		err := run(t.Context(), strings.Fields(tt.args), new(bytes.Buffer))
		require.ErrorContains(t, err, tt.want)
	}
}

func TestFitKeepsTheShape(t *testing.T) {
	for _, tt := range []struct{ size, want image.Point }{
		{image.Pt(400, 200), image.Pt(100, 50)},
		{image.Pt(200, 400), image.Pt(50, 100)},
		{image.Pt(80, 20), image.Pt(80, 20)},
		{image.Pt(1, 5000), image.Pt(1, 100)},
	} {
		require.Equal(t, tt.want, fit(tt.size, 100))
	}
}
