package cookbook_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No recipe leaves a goroutine behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
