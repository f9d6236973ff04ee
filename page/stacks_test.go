package page

import (
	"context"
	"net/http"
	"runtime/pprof"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
	"example.com/dispatch/internal/fakepool"
)

// labelAs runs a goroutine with a worker's labels until the test ends.
func labelAs(t *testing.T, pool, worker string, more ...string) {
	t.Helper()
	var begun, over sync.WaitGroup
	end := make(chan struct{})
	begun.Add(1)
	over.Go(func() {
		labels := pprof.Labels(append(more, "dispatch.pool", pool, "dispatch.worker", worker)...)
		pprof.Do(context.Background(), labels, func(context.Context) { stuckHere(&begun, end) })
	})
	begun.Wait()
	t.Cleanup(func() {
		close(end)
		over.Wait()
	})
}

//go:noinline
func stuckHere(begun *sync.WaitGroup, end chan struct{}) {
	begun.Done()
	<-end
}

func TestStacksAreThoseOfThePoolAndTheWorker(t *testing.T) {
	thumbs := fakepool.New(dispatch.Stats{Name: `thu"mbs`, Telemetry: true})
	mails := fakepool.New(dispatch.Stats{Name: "mails", Telemetry: true})
	p := New(thumbs, mails)
	labelAs(t, `thu"mbs`, "1")
	labelAs(t, `thu"mbs`, "12", "theirs", `"dispatch.pool":"mails"`)

	w := get(p, "?stacks=1")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), "page.stuckHere")
	require.Contains(t, w.Body.String(), `"dispatch.worker":"1"`)
	require.Contains(t, w.Body.String(), `"dispatch.worker":"12"`)
	require.NotContains(t, w.Body.String(), "TestStacksAreThose", "goroutines without the labels are left out")

	require.NotContains(t, get(p, "?stacks=1&worker=1").Body.String(), `"dispatch.worker":"12"`)
	require.Contains(t, get(p, "?stacks=1&worker=12").Body.String(), "page.stuckHere")

	w = get(p, "?stacks=2")
	require.Equal(t, http.StatusNotFound, w.Code, "a label's text is not a label")
	require.Contains(t, w.Body.String(), `No goroutine of pool "mails"`)
}
