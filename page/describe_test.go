package page

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch"
)

func TestAStackBeginsAtThePanicAndHasNoAddresses(t *testing.T) {
	p, err := dispatch.New(func(context.Context, int) (int, error) { panic("boo") }, dispatch.WithPanicHandler(func(*dispatch.PanicError) {}))
	require.NoError(t, err)
	defer p.Close()
	_, err = p.Process(t.Context(), 1)
	d := describe(fmt.Errorf("wrapped: %w", err))
	require.Equal(t, "wrapped: dispatch: job panicked: boo", d.text)
	lines := strings.Split(d.stack, "\n")
	require.Equal(t, "panic(…)", lines[0])
	require.Contains(t, lines[2], "page.TestAStackBeginsAtThePanic")
	require.Regexp(t, `^\t.*describe_test\.go:\d+$`, lines[3])
	require.NotContains(t, d.stack, "0x")

	d = describe(err)
	require.Equal(t, "job panicked: boo", d.text)
	require.NotEmpty(t, d.stack)
}

func TestALongStackIsCut(t *testing.T) {
	stack := trimStack("goroutine 1 [running]:\npanic(0x1)\n" + strings.Repeat("main.f(...)\n\t/src/main.go:7 +0x1\n", 1000))
	require.Less(t, len(stack), maxStack+100)
	require.Contains(t, stack, "bytes more)")
	require.Equal(t, "no stack at all", trimStack("no stack at all"))
}

func TestAnErrorIsAskedOnceForAsLongAsItIsShown(t *testing.T) {
	asked := 0
	counting := &countingError{&asked}
	jobs := []dispatch.Job{{Err: counting}, {Err: faultyError(func() string { asked++; return "value" })}, {}, {Err: counting}}
	var d descriptions
	want := []description{{text: "once"}, {text: "value"}, {}, {text: "once"}}
	require.Equal(t, want, d.of(jobs))
	require.Equal(t, 2, asked)
	require.Equal(t, want, d.of(jobs))
	require.Equal(t, 3, asked, "an error that may not compare is asked again")
	d.of(nil)
	require.Empty(t, d.known)
	d.of(jobs)
	require.Equal(t, 5, asked)
}

// countingError counts the calls of its Error method.
type countingError struct{ asked *int }

func (e *countingError) Error() string { *e.asked++; return "once" }
