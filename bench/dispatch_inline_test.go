//go:build !without_inline

package bench

import "example.com/dispatch"

// What older versions of dispatch lack stands in a file of its own, dispatch_NAME_test.go,
// and is left out by the tag without_NAME: the gate then compares all the rest.
var dispatchInline = dispatchCalls(dispatch.WithInline())
