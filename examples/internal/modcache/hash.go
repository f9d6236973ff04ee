package modcache

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"
)

// ErrNoHash is the error of a zip that cannot be checked, because there is no hash to
// compare with.
var ErrNoHash = errors.New("no .ziphash file to compare with")

// Check hashes a zip and returns the hash. The error is nil if the hash equals the
// stored one. When ctx ends Check returns the cause, after at most one more read.
func Check(ctx context.Context, z Zip) (string, error) {
	want, err := storedHash(z)
	if err != nil {
		return "", err
	}
	got, err := hashZip(ctx, z.Path)
	if err != nil {
		return "", err
	}
	if got != want {
		return got, fmt.Errorf("its hash is %s, the stored one is %s", got, want)
	}
	return got, nil
}

// storedHash reads the hash that Go stored beside the zip. If the .ziphash file has
// other content it is damaged, and the error is not ErrNoHash.
func storedHash(z Zip) (string, error) {
	data, err := os.ReadFile(z.HashFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNoHash
	}
	if err != nil {
		return "", err
	}
	hash := strings.TrimSpace(string(data))
	if !strings.HasPrefix(hash, "h1:") {
		return "", errors.New("its .ziphash file has no h1: hash")
	}
	return hash, nil
}

// hashZip returns the hash of a module zip as Go computes it. Package dirhash has no
// context, so hashZip gives it files whose reads fail with the cause once ctx has
// ended.
func hashZip(ctx context.Context, name string) (string, error) {
	r, err := zip.OpenReader(name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	names := make([]string, len(r.File))
	files := make(map[string]*zip.File, len(r.File))
	for i, f := range r.File {
		names[i] = f.Name
		files[f.Name] = f
	}
	return dirhash.Hash1(names, func(name string) (io.ReadCloser, error) {
		content, err := files[name].Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return contextReader{ReadCloser: content, ctx: ctx, name: name}, nil
	})
}

// A contextReader reads a file of a zip until its context ends.
type contextReader struct {
	io.ReadCloser

	ctx  context.Context
	name string
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", r.name, err)
	}
	return n, err
}
