package main

import (
	"context"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/cli/clitest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// thumbsArgs runs the program as main does.
var thumbsArgs = clitest.New("thumbs", run)

func TestEveryPictureGetsItsThumbnail(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, drawSamples(in, 4))
	status, stdout, stderr := thumbsArgs(t.Context(), "-in", in, "-out", out, "-size", "100", "-workers", "2")
	require.Equal(t, cli.Good, status, stderr)
	require.Contains(t, stdout, "4 thumbnails made")

	pictures, err := findPictures(in)
	require.NoError(t, err)
	require.Len(t, pictures, 4)
	for i, name := range pictures {
		picture, err := decode(filepath.Join(out, filepath.Base(name)+".jpg"))
		require.NoError(t, err)
		require.Equal(t, 100, picture.Bounds().Dx(), "the samples are broad")
		require.Less(t, picture.Bounds().Dy(), 100)
		require.True(t, strings.HasPrefix(strings.Split(stdout, "\n")[i], filepath.Base(name)), "in the order of the names")
	}
}

func TestPicturesThatDifferInTheirKindAloneHaveAThumbnailEach(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, writeJPEG(filepath.Join(in, "a.jpg"), drawSample(40, 20, 1)))
	require.NoError(t, writeJPEG(filepath.Join(in, "a.png"), drawSample(20, 40, 1))) // what is in it tells the kind
	status, _, stderr := thumbsArgs(t.Context(), "-in", in, "-out", out)
	require.Equal(t, cli.Good, status, stderr)
	for name, width := range map[string]int{"a.jpg.jpg": 40, "a.png.jpg": 20} {
		picture, err := decode(filepath.Join(out, name))
		require.NoError(t, err)
		require.Equal(t, width, picture.Bounds().Dx())
	}
}

func TestThePageShowsEachThumbnailAndLinksToItsOriginal(t *testing.T) {
	root := t.TempDir()
	in, out := filepath.Join(root, "my pictures"), filepath.Join(root, "out")
	require.NoError(t, os.Mkdir(in, 0o755))
	require.NoError(t, writeJPEG(filepath.Join(in, "a & <b>.jpg"), drawSample(40, 20, 1)))
	for range 2 { // the second time over its own page
		status, stdout, stderr := thumbsArgs(t.Context(), "-in", in, "-out", out)
		require.Equal(t, cli.Good, status, stderr)
		require.Contains(t, stdout, "look at "+filepath.Join(out, "index.html")+"\n")
	}
	page, err := os.ReadFile(filepath.Join(out, "index.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), mark)
	require.Contains(t, string(page), `href="../my%20pictures/a%20&amp;%20%3Cb%3E.jpg"`)
	require.Contains(t, string(page), `src="a%20&amp;%20%3Cb%3E.jpg.jpg"`)
	require.Contains(t, string(page), `a &amp; &lt;b&gt;.jpg<br>40 × 20`)
}

func TestOriginalsAreNeverWrittenOver(t *testing.T) {
	in := t.TempDir()
	name := filepath.Join(in, "a.jpg")
	require.NoError(t, writeJPEG(name, drawSample(400, 200, 1)))
	before, err := os.ReadFile(name)
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(in, other))
	for _, out := range []string{in, in + "/.", other} {
		status, _, stderr := thumbsArgs(t.Context(), "-in", in, "-out", out)
		require.Equal(t, cli.Usage, status)
		require.Contains(t, stderr, "-in and -out are one folder")
	}
	after, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, before, after)
	entries, err := os.ReadDir(in)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestAPageOfSomebodyElseIsKept(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, drawSamples(in, 1))
	index := filepath.Join(out, "index.html")
	require.NoError(t, os.WriteFile(index, []byte("<h1>mine</h1>"), 0o644))
	status, _, stderr := thumbsArgs(t.Context(), "-in", in, "-out", out)
	require.Equal(t, cli.Usage, status)
	require.Contains(t, stderr, "has an index.html that is not of this program")
	text, err := os.ReadFile(index)
	require.NoError(t, err)
	require.Equal(t, "<h1>mine</h1>", string(text))
}

func TestTheSamplesAreKeptToLookAt(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	status, stdout, stderr := thumbsArgs(t.Context())
	require.Equal(t, cli.Good, status, stderr)
	_, page, ok := strings.Cut(strings.TrimSpace(stdout), "look at ")
	require.True(t, ok, stdout)
	require.FileExists(t, page)
	require.FileExists(t, filepath.Join(filepath.Dir(page), "sample-01.jpg.jpg"))
	require.FileExists(t, filepath.Join(filepath.Dir(page), "samples", "sample-01.jpg"))
}

func TestBrokenPictureStopsNobody(t *testing.T) {
	in := t.TempDir()
	require.NoError(t, drawSamples(in, 2))
	require.NoError(t, os.WriteFile(filepath.Join(in, "a.png"), []byte("no picture"), 0o644))
	status, stdout, stderr := thumbsArgs(t.Context(), "-in", in, "-out", t.TempDir())
	require.Equal(t, cli.Failed, status)
	require.Equal(t, "thumbs: 1 of 3 pictures failed\n", stderr)
	require.Contains(t, stdout, "a.png: image: unknown format\n")
	require.Contains(t, stdout, "2 thumbnails made")
}

func TestOneWorkerMakesThemAll(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, drawSamples(in, 3))
	status, stdout, _ := thumbsArgs(t.Context(), "-in", in, "-out", out, "-size", "50", "-workers", "1")
	require.Equal(t, cli.Good, status)
	require.Contains(t, stdout, "3 thumbnails made, by each worker: [3]\n")
}

func TestInterruptedRunMakesNoMore(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, drawSamples(in, 1))
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(cli.Signal{Signal: os.Interrupt})
	status, stdout, stderr := thumbsArgs(ctx, "-in", in, "-out", out)
	require.Equal(t, 130, status)
	require.NotContains(t, stdout, "sample")
	require.Equal(t, "thumbs: interrupted\n", stderr)
	entries, err := os.ReadDir(out)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestWrongFlags(t *testing.T) {
	thumbsArgs.RequireRefused(t, map[string]string{
		"-size 0":     `invalid value "0" for flag -size`,
		"-workers 0":  `invalid value "0" for flag -workers`,
		"-in missing": `invalid value "missing" for flag -in`,
		"extra":       `unexpected argument "extra"`,
	})
	thumbsArgs.RequireHelp(t, "thumbs")
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
