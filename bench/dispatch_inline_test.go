//go:build !without_inline

package bench

import "example.com/dispatch"

// Each feature that older versions of dispatch lack has a file of its own,
// dispatch_NAME_test.go. The build tag without_NAME leaves the file out, so that the
// gate can compare all the rest.
var dispatchInline = dispatchCalls(dispatch.WithInline())
