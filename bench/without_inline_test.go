//go:build without_inline

package bench

var dispatchInline opener[func() caller]
