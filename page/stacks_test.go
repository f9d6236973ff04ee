package page

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

//go:noinline
func stuckHere(ctx context.Context, begun *sync.WaitGroup) {
	begun.Done()
	<-ctx.Done()
}

func TestStacksAreThoseOfThePoolAndTheWorker(t *testing.T) {
	const odd = `thu"mbs", "dispatch.pool":"mails`
	thumbs, mails := newPool(odd), newPool("mails")
	defer stop(thumbs, mails)
	var begun, over sync.WaitGroup
	defer over.Wait()
	stuck := task{do: func(ctx context.Context) error {
		over.Go(func() { stuckHere(ctx, &begun) })
		stuckHere(ctx, &begun)
		return nil
	}}
	begun.Add(4)
	first := dispatch.Must(thumbs.Submit(t.Context(), stuck))
	second := dispatch.Must(thumbs.Submit(t.Context(), stuck))
	defer first.Cancel()
	defer second.Cancel()
	begun.Wait()
	p := New(thumbs, mails)

	w := get(p, "?stacks=1")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), "page.stuckHere")
	require.Contains(t, w.Body.String(), `"dispatch.worker":"1"`)
	require.Contains(t, w.Body.String(), `"dispatch.worker":"2"`)
	require.NotContains(t, w.Body.String(), "TestStacksAreThoseOfThePoolAndTheWorker+", "goroutines without the labels are left out")

	body := get(p, "?stacks=1&worker=1").Body.String()
	require.NotContains(t, body, `"dispatch.worker":"2"`)
	require.Contains(t, body, "page.TestStacksAreThoseOfThePoolAndTheWorker.func1.1", "what the handler has started, too")
	require.Contains(t, get(p, "?stacks=1&worker=2").Body.String(), "page.stuckHere")

	w = get(p, "?stacks=2")
	require.Equal(t, http.StatusNotFound, w.Code, "a label's text is not a label")
	require.Contains(t, w.Body.String(), `No goroutine of pool "mails"`)
}
