//go:build unix

package embedded

import (
	"os"
	"sync"
	"syscall"
)

// lock locks the folder for this process. The system releases the lock when the process
// dies.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return sync.OnceValue(f.Close), nil
}
