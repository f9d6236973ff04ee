package dispatch_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// discard is a logger for tests that provoke what would be logged.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
