// Package modcache reads the Go module cache of a machine, and checks that it is
// unchanged since the download: it can hash every module zip again, and compare the
// hash with the one that Go stored beside the zip.
package modcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// A Zip is one module zip of the cache.
type Zip struct {
	Name string // module@version, for people
	Path string // of the file
	Size int64  // of the file, in bytes
}

// HashFile returns the name of the file in which Go stored the zip's hash.
func (z Zip) HashFile() string {
	return strings.TrimSuffix(z.Path, ".zip") + ".ziphash"
}

// Dir asks Go where this machine's module cache is.
func Dir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE").Output()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("go env GOMODCACHE: %w (use -dir to name the cache)", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Find returns the module zips of the cache in dir, the largest first: a large zip that
// is started last would keep one worker busy after the others have finished. A cache
// that does not exist yet is empty. When ctx ends Find returns the cause.
func Find(ctx context.Context, dir string) ([]Zip, error) {
	var found []Zip
	root := filepath.Join(dir, "cache", "download")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fs.ErrNotExist):
			return nil // no cache yet, or a file that Go has just removed
		case err != nil:
			return err
		case d.IsDir() || filepath.Ext(path) != ".zip" || filepath.Base(filepath.Dir(path)) != "@v":
			return nil
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		found = append(found, Zip{Name: moduleName(root, path), Path: path, Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Zip) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}

// Bytes returns the total size of zips.
func Bytes(zips []Zip) int64 {
	var total int64
	for _, z := range zips {
		total += z.Size
	}
	return total
}

// moduleName turns root/github.com/!burnt!sushi/toml/@v/v1.5.0.zip into
// github.com/BurntSushi/toml@v1.5.0. It returns a path unchanged if no module can
// have it.
func moduleName(root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return path
	}
	rel = filepath.ToSlash(rel)
	dir, file, ok := strings.Cut(rel, "/@v/")
	if !ok {
		return rel
	}
	mod, err := module.UnescapePath(dir)
	if err != nil {
		return rel
	}
	version, err := module.UnescapeVersion(strings.TrimSuffix(file, ".zip"))
	if err != nil {
		return rel
	}
	return mod + "@" + version
}
