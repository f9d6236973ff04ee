package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"example.com/dispatch"
)

// A result is an archive with its hash, or with the reason why it is not good.
type result = dispatch.Result[archive, string]

// errNoHash is the error of a zip that cannot be told good or bad, because
// there is nothing to compare it with.
var errNoHash = errors.New("no .ziphash file to compare with")

// A checker compares archives with their stored hashes.
type checker struct {
	hash    func(ctx context.Context, path string) (string, error)
	timeout time.Duration // limit on one archive; zero for none
}

// all checks the archives on a pool of its own and calls each with every result,
// one call after another, in the order in which they are ready. When ctx ends,
// the archives that are not done get its cause as their error. No goroutine is
// left when all returns.
func (c checker) all(ctx context.Context, workers int, archives []archive, each func(result)) error {
	opts := []dispatch.Option{dispatch.WithName("verify"), dispatch.WithWorkers(workers)}
	if c.timeout > 0 {
		opts = append(opts, dispatch.WithJobTimeout(c.timeout))
	}
	pool, err := dispatch.New(c.one, opts...)
	if err != nil {
		return err
	}
	defer pool.Close()

	batch := pool.Batch(ctx)
	if err := batch.Add(archives...); err != nil {
		return err
	}
	batch.Close()
	for r := range batch.Results() {
		each(r)
	}
	return nil
}

// one is the pool's handler: it hashes an archive and returns the hash, with an
// error unless it is the stored one.
func (c checker) one(ctx context.Context, a archive) (string, error) {
	want, err := storedHash(a)
	if err != nil {
		return "", err
	}
	got, err := c.hash(ctx, a.path)
	if err != nil {
		return "", err
	}
	if got != want {
		return got, fmt.Errorf("its hash is %s, the stored one is %s", got, want)
	}
	return got, nil
}

// storedHash reads the hash that Go stored beside the zip. A .ziphash file with
// anything else in it is damaged, which is not the same as missing.
func storedHash(a archive) (string, error) {
	data, err := os.ReadFile(a.hashFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoHash
	}
	if err != nil {
		return "", err
	}
	hash := strings.TrimSpace(string(data))
	if !strings.HasPrefix(hash, "h1:") {
		return "", errors.New("its .ziphash file holds no h1: hash")
	}
	return hash, nil
}
