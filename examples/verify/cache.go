package main

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

// An archive is one module zip of the cache.
type archive struct {
	name string // module@version, for people
	path string // of the zip
	size int64  // of the zip, in bytes
}

// hashFile names the file in which Go stored the archive's hash.
func (a archive) hashFile() string {
	return strings.TrimSuffix(a.path, ".zip") + ".ziphash"
}

// cacheDir asks Go where this machine's module cache is.
func cacheDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMODCACHE: %w (-dir names the cache without it)", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// findArchives returns the module zips of the cache in dir, the largest first:
// a large one begun last would keep one worker busy after the others have
// nothing left to do. A cache that Go has not made yet is an empty one.
func findArchives(ctx context.Context, dir string) ([]archive, error) {
	var found []archive
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
		found = append(found, archive{name: moduleName(root, path), path: path, size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b archive) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name))
	})
	return found, nil
}

// moduleName turns root/github.com/!burnt!sushi/toml/@v/v1.5.0.zip into
// github.com/BurntSushi/toml@v1.5.0. A path that no module could have made
// is its own name.
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
