package modcache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/dispatch/examples/internal/modcache"
	"example.com/dispatch/examples/internal/modcache/modcachetest"
)

func TestOnlyModuleZipsAreFound(t *testing.T) {
	cache := modcachetest.New(t)
	zip := cache.Add("example.com/a", "v1.0.0")
	for _, other := range []string{zip + "123.tmp", filepath.Join(cache.Dir, "cache", "download", "stray.zip")} {
		require.NoError(t, os.WriteFile(other, []byte("not a zip"), 0o644))
	}
	require.Len(t, cache.Zips(), 1)
}

func TestLargestZipComesFirst(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("example.com/small", "v1.0.0")
	cache.AddFiles("example.com/zlarge", "v1.0.0", map[string]string{strings.Repeat("name", 5000): ""})
	zips := cache.Zips()
	require.Equal(t, "example.com/zlarge@v1.0.0", zips[0].Name)
	require.Greater(t, zips[0].Size, zips[1].Size)
	require.Equal(t, zips[0].Size+zips[1].Size, modcache.Bytes(zips))
}

func TestEscapedNamesAreWrittenAsPeopleKnowThem(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("github.com/!burnt!sushi/toml", "v0.1.0")
	require.Equal(t, "github.com/BurntSushi/toml@v0.1.0", cache.Zips()[0].Name)
}

func TestACheckStopsWhenItsContextEnds(t *testing.T) {
	cache := modcachetest.New(t)
	cache.Add("example.com/a", "v1.0.0")
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	_, err := modcache.Check(ctx, cache.Zips()[0])
	require.ErrorIs(t, err, enough)
	_, err = modcache.Find(ctx, cache.Dir)
	require.ErrorIs(t, err, enough)
}
