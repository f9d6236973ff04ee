package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A file is a Go source file of the tree.
type file struct {
	name string // from the tree's root, with slashes
	size int64
}

// sourceDir asks Go where its own source is.
func sourceDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w (use -dir to name a folder)", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}

// findFiles returns the Go files in dir and below, the largest first: a large file
// that is started last would keep one worker busy after the others have finished.
// When ctx ends it returns the cause.
func findFiles(ctx context.Context, dir string) ([]file, error) {
	var found []file
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case !d.Type().IsRegular() || filepath.Ext(path) != ".go":
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		found = append(found, file{name: filepath.ToSlash(name), size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b file) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name))
	})
	return found, nil
}

// sizeOf returns the total size of files.
func sizeOf(files []file) int64 {
	var total int64
	for _, f := range files {
		total += f.size
	}
	return total
}
