//go:build !unix

package embedded

// lock does nothing where there is no flock: that one server uses a folder is
// then for the operator to see to.
func lock(string) (unlock func() error, err error) { return func() error { return nil }, nil }
