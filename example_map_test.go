package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"testing/fstest"
	"time"

	"example.com/dispatch"
)

// How do I turn one slice into another?
func ExamplePool_Map() {
	parse := func(_ context.Context, s string) (time.Duration, error) { return time.ParseDuration(s) }
	p := dispatch.Must(dispatch.New(parse))
	defer p.Close()

	ctx := context.Background()
	fmt.Println(p.Map(ctx, []string{"90s", "1.5h"}))

	_, err := p.Map(ctx, []string{"90s", "soon", "1.5h"}) // the first error cancels the rest
	if item, ok := errors.AsType[*dispatch.ItemError](err); ok {
		fmt.Printf("input %d: %v\n", item.Index, item.Err)
	}
	// Output:
	// [1m30s 1h30m0s] <nil>
	// input 1: time: invalid duration "soon"
}

// May a job wait for jobs of its own pool?
func ExamplePool_Map_insideJob() {
	tree := fstest.MapFS{
		"go.mod":          {Data: make([]byte, 10)},
		"doc/guide.md":    {Data: make([]byte, 200)},
		"doc/img/box.png": {Data: make([]byte, 3000)},
	}
	// The size of a folder is that of its files and of its folders, which are
	// jobs of the same pool.
	var p *dispatch.Pool[string, int64]
	size := func(ctx context.Context, dir string) (total int64, err error) {
		entries, err := tree.ReadDir(dir)
		if err != nil {
			return 0, err
		}
		var dirs []string
		for _, entry := range entries {
			if entry.IsDir() {
				dirs = append(dirs, path.Join(dir, entry.Name()))
				continue
			}
			var info fs.FileInfo
			if info, err = entry.Info(); err != nil {
				return 0, err
			}
			total += info.Size()
		}
		sizes, err := p.Map(ctx, dirs) // with the job's own context
		for _, n := range sizes {
			total += n
		}
		return total, err
	}
	p = dispatch.Must(dispatch.New(size, dispatch.WithWorkers(1))) // one is enough
	defer p.Close()

	fmt.Println(p.Process(context.Background(), "."))
	// Output: 3210 <nil>
}
