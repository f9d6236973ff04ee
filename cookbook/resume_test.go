package cookbook_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"example.com/dispatch"
)

// journal remembers which inputs are done, in a file.
type journal struct{ db *bbolt.DB }

var doneBucket = []byte("done")

func openJournal(file string) (*journal, error) {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second}) // an error if another process has it
	if err != nil {
		return nil, err
	}
	return &journal{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(doneBucket)
		return err
	})
}

// left returns those of ins that are not done.
func (j *journal) left(ins []string) (left []string, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		left = slices.DeleteFunc(slices.Clone(ins), func(in string) bool {
			return tx.Bucket(doneBucket).Get([]byte(in)) != nil
		})
		return nil
	})
	return left, err
}

// done is on the disk when it returns.
func (j *journal) done(in, out string) error {
	return j.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(doneBucket).Put([]byte(in), []byte(out))
	})
}

// How do I resume after a crash?
//
// Problem: a program works through an input for hours. When it dies, it should not
// start from the beginning.
//
// Solution: the loop over the results writes down each outcome before it comes for
// the next one, in a store that survives a crash, bbolt here. A start runs what
// is not in there. The loop is the only one that writes, so that the handlers
// need no lock.
//
// Trap: between the work and the note the program can die, and the work is done
// again: a handler must stand being run twice for an input (write to a temporary
// file and rename it; an INSERT with ON CONFLICT). A commit costs a write to the
// disk, milliseconds: where jobs are shorter, note some hundred of them in one.
func Example_resume() {
	dir, err := os.MkdirTemp("", "resume")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	convert := func(_ context.Context, film string) (string, error) { return film + ".av1", nil }
	films := []string{"alien", "brazil", "casablanca", "dune"}
	work := func(ctx context.Context, crashAt string) error {
		notes, err := openJournal(filepath.Join(dir, "done.db"))
		if err != nil {
			return err
		}
		defer notes.db.Close()
		left, err := notes.left(films)
		if err != nil {
			return err
		}
		fmt.Println("to do:", left)

		p, err := dispatch.New(convert, dispatch.WithWorkers(2))
		if err != nil {
			return err
		}
		defer p.Close()
		for r := range p.Stream(ctx, slices.Values(left)) {
			if r.Err != nil {
				return fmt.Errorf("%s: %w", r.In, r.Err)
			}
			if r.In == crashAt {
				return fmt.Errorf("power failure at %s", r.In) // its work is done, and not noted
			}
			if err := notes.done(r.In, r.Out); err != nil {
				return err
			}
		}
		return nil
	}
	ctx := context.Background()
	fmt.Println(work(ctx, "casablanca"))
	fmt.Println(work(ctx, "nothing"))
	fmt.Println(work(ctx, "nothing"))
	// Output:
	// to do: [alien brazil casablanca dune]
	// power failure at casablanca
	// to do: [casablanca dune]
	// <nil>
	// to do: []
	// <nil>
}
