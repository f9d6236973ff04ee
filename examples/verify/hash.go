package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/dirhash"
)

// hashZip returns the hash that Go gives a module zip. Package dirhash does not
// watch a context; the files it reads here do, so the hashing stops within one
// read of the context's end, with its cause.
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
