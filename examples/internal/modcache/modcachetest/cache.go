// Package modcachetest makes module caches for tests.
package modcachetest

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/dirhash"

	"example.com/dispatch/examples/internal/modcache"
)

// A Cache is a module cache made for a test.
type Cache struct {
	Dir string

	t *testing.T
}

// New makes an empty cache.
func New(t *testing.T) Cache {
	t.Helper()
	return Cache{t.TempDir(), t}
}

// Add puts a module into the cache the way Go does: a zip and its hash. It computes the
// hash with package dirhash, not with the code under test. It returns the path of the
// zip.
func (c Cache) Add(escapedPath, version string) string {
	c.t.Helper()
	return c.AddFiles(escapedPath, version, map[string]string{
		"go.mod":  "module " + escapedPath + "\n",
		"code.go": "package code\n" + strings.Repeat("// a line\n", 1000),
		"empty":   "",
	})
}

// AddFiles is Add with the content of the zip.
func (c Cache) AddFiles(escapedPath, version string, files map[string]string) string {
	c.t.Helper()
	name := c.place(escapedPath, version)
	WriteZip(c.t, name, files)
	hash, err := dirhash.HashZip(name, dirhash.Hash1)
	require.NoError(c.t, err)
	require.NoError(c.t, os.WriteFile(HashFile(name), []byte(hash), 0o644))
	return name
}

// AddCopy adds a module whose zip is a copy of an existing one.
func (c Cache) AddCopy(zip, escapedPath, version string) {
	c.t.Helper()
	name := c.place(escapedPath, version)
	require.NoError(c.t, os.Link(zip, name))
	require.NoError(c.t, os.Link(HashFile(zip), HashFile(name)))
}

// place makes the folder of a module and returns where its zip belongs.
func (c Cache) place(escapedPath, version string) string {
	c.t.Helper()
	dir := filepath.Join(c.Dir, "cache", "download", filepath.FromSlash(escapedPath), "@v")
	require.NoError(c.t, os.MkdirAll(dir, 0o755))
	return filepath.Join(dir, version+".zip")
}

// Zips returns the zips that the programs find in the cache.
func (c Cache) Zips() []modcache.Zip {
	c.t.Helper()
	found, err := modcache.Find(c.t.Context(), c.Dir)
	require.NoError(c.t, err)
	return found
}

// WriteZip writes a zip file.
func WriteZip(t *testing.T, name string, files map[string]string) {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, content := range files {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(name, buf.Bytes(), 0o644))
}

// HashFile returns the name of the file with the hash of a zip.
func HashFile(zip string) string {
	return modcache.Zip{Path: zip}.HashFile()
}
