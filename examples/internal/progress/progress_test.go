package progress

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vbauerster/mpb/v8"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestBarIsFullWhenAllIsDone(t *testing.T) {
	var out bytes.Buffer
	b := newBar(Work{Label: "checked", Files: 2, Bytes: 3000}, mpb.New(mpb.WithOutput(&out), mpb.WithAutoRefresh(), mpb.WithWidth(80)))
	b.Add(1000)
	b.Add(2000)
	b.End()
	require.True(t, b.bar.Completed())
	require.Contains(t, out.String(), "3.0 KB / 3.0 KB")
}

func TestBarOfWorkThatWasCutShortEnds(t *testing.T) {
	b := newBar(Work{Label: "checked", Files: 2, Bytes: 3000}, mpb.New(mpb.WithOutput(new(bytes.Buffer)), mpb.WithAutoRefresh()))
	b.Add(1000)
	b.End()
	require.True(t, b.bar.Aborted())
}

func TestBarCountsTheFilesWhereTheirBytesAreNotKnown(t *testing.T) {
	var out bytes.Buffer
	b := newBar(Work{Label: "stored", Files: 2}, mpb.New(mpb.WithOutput(&out), mpb.WithAutoRefresh(), mpb.WithWidth(80)))
	b.Add(1000)
	b.Add(0)
	b.End()
	require.True(t, b.bar.Completed())
	require.Contains(t, out.String(), "stored 2 / 2 ")
}

func TestOfStagesTheLastIsToldOfInLines(t *testing.T) {
	var out bytes.Buffer
	add, end := Stages(&out, Work{Label: "fetched", Noun: "page", Files: 10}, Work{Label: "stored", Noun: "page", Files: 10})
	for range 10 {
		add[0](0)
		add[1](0)
	}
	end()
	require.NotContains(t, out.String(), "fetched")
	require.Equal(t, 10, strings.Count(out.String(), "stored: "))
	require.True(t, strings.HasSuffix(out.String(), "stored: 10 of 10 pages\n"))
}

func TestThereIsALineForEachTenth(t *testing.T) {
	var out bytes.Buffer
	p := New(&out, Work{Label: "checked", Noun: "zip", Files: 1234, Bytes: 1234})
	for range 1234 {
		p.Add(1)
	}
	p.End()
	require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 10)
	require.True(t, strings.HasSuffix(out.String(), "checked: 1,234 of 1,234 zips\n"))
}

func TestFilesAreNoTerminals(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer f.Close()
	require.False(t, isTerminal(f))
	require.False(t, isTerminal(new(bytes.Buffer)))
}
