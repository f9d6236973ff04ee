package cookbook_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a recipe leaves a goroutine behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
