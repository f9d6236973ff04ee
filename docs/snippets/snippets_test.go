// Package snippets checks the Go code in the documents of the repository: each block
// compiles against the library. The blocks of a migration guide that show the old code
// compile against the other pool.
package snippets

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// A snippet is a fenced block of a document.
type snippet struct {
	file    string // the document, from the root
	line    int    // of its first line, from 1
	section string // the heading above
	lang    string
	text    string
}

// documents returns the Markdown files of the repository.
func documents(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."), d.Name() == "node_modules":
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			path, err = filepath.Rel(root, path)
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	require.NoError(t, err)
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	return string(text)
}

// snippetsOf returns the fenced blocks of a document.
func snippetsOf(file, text string) (all []snippet) {
	const fence = "```"
	var s *snippet
	section, line := "", 0
	for l := range strings.Lines(text) {
		line++
		switch {
		case s == nil && strings.HasPrefix(l, "## "):
			section = strings.TrimSpace(l[3:])
		case s == nil && strings.HasPrefix(l, fence):
			s = &snippet{file: file, line: line + 1, section: section, lang: strings.TrimSpace(l[len(fence):])}
		case s != nil && strings.HasPrefix(l, fence):
			all = append(all, *s)
			s = nil
		case s != nil:
			s.text += l
		}
	}
	return all
}

func TestEveryGoSnippetOfTheDocumentsCompiles(t *testing.T) {
	c, err := newChecker()
	require.NoError(t, err)
	checked := map[string]int{}
	for _, file := range documents(t) {
		for _, s := range snippetsOf(file, read(t, file)) {
			require.NotEmpty(t, s.lang, "%s:%d: the block does not name its language", s.file, s.line)
			if s.lang != "go" || strings.HasPrefix(s.text, "// before: rill\n") {
				continue // rill has no other use in the repository, so none of its modules requires it
			}
			checked[file]++
			t.Run(fmt.Sprintf("%s:%d", s.file, s.line), func(t *testing.T) {
				require.NoError(t, c.check(s))
			})
		}
	}
	require.NotZero(t, checked["README.md"])
	require.NotZero(t, checked["docs/MIGRATING.md"])
}

// The checker must find errors, and report their places.
func TestASnippetThatIsBrokenIsFoundByFileAndLine(t *testing.T) {
	c, err := newChecker()
	require.NoError(t, err)
	for _, tc := range []struct{ name, text, want string }{
		{"a method that there is not", "p, err := dispatch.New(fetch)\nif err != nil {\n\treturn err\n}\np.Terminate()\n", "GUIDE.md:7: p.Terminate undefined"},
		{"a wrong type", "_ = dispatch.WithWorkers(\"8\")\n", "GUIDE.md:3: cannot use \"8\""},
		{"an unknown name", "x := 1\nfmt.Println(y)\n", "GUIDE.md:4: undefined: y"},
		{"no Go", "p := := 1\n", "GUIDE.md:3:"},
		{"a program with a variable that nobody uses", "func main() {\n\tx := 1\n}\n", "GUIDE.md:4: declared and not used: x"},
		{"two mistakes", "fmt.Println(y)\nfmt.Println(z)\n", "GUIDE.md:4: undefined: z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := snippetsOf("GUIDE.md", "text\n```go\n"+tc.text+"```\n")
			require.Len(t, s, 1)
			require.ErrorContains(t, c.check(s[0]), tc.want)
		})
	}
}

func TestEachGuideShowsBeforeAndAfter(t *testing.T) {
	const file = "docs/MIGRATING.md"
	text := read(t, file)
	before, after := map[string]int{}, map[string]int{}
	for _, s := range snippetsOf(file, text) {
		switch first, _, _ := strings.Cut(s.text, "\n"); {
		case first == "// after":
			after[s.section]++
		case strings.HasPrefix(first, "// before: "):
			before[s.section]++
		default:
			t.Errorf("%s:%d: the block does not say whether it is before or after", s.file, s.line)
		}
	}
	for l := range strings.Lines(text) {
		if guide, ok := strings.CutPrefix(strings.TrimSpace(l), "## "); ok {
			require.NotZero(t, after[guide], guide)
			if guide != "What is different everywhere" {
				require.NotZero(t, before[guide], guide)
			}
		}
	}
}
