package cookbook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheIndexNamesEveryRecipeOnce(t *testing.T) {
	index, err := os.ReadFile("README.md")
	require.NoError(t, err)
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		links := strings.Count(string(index), "("+file+")")
		if !strings.Contains(string(source), "\nfunc Example_") {
			require.Zero(t, links, file)
			continue
		}
		require.Equal(t, 1, links, file)
		for _, part := range []string{"// Problem: ", "// Solution: ", "// Trap: "} {
			require.Contains(t, string(source), part, file)
		}
	}
}
