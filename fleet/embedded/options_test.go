package embedded

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// F1 depends on SyncAlways, and no test can cut the power.
func TestF1TheDiskHasWhatTheServerConfirms(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		c, err := new(Server).config(Options{Dir: t.TempDir(), LazySync: lazy})
		require.NoError(t, err)
		require.Equal(t, !lazy, c.SyncAlways)
		require.True(t, c.JetStream)
		require.True(t, c.DontListen)
		require.True(t, c.NoSigs, "signals are the program's own")
	}
}
