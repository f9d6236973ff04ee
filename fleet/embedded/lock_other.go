//go:build !unix

package embedded

// lock does nothing on systems without flock. There the operator must ensure that only
// one server uses a folder.
func lock(string) (unlock func() error, err error) { return func() error { return nil }, nil }
