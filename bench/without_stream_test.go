//go:build without_stream

package bench

var dispatchStream opener[mapper]
