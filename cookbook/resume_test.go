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

// journal records in a file which inputs are done.
type journal struct{ db *bbolt.DB }

var doneBucket = []byte("done")

func openJournal(file string) (*journal, error) {
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second}) // fails if another process has the file open
	if err != nil {
		return nil, err
	}
	return &journal{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(doneBucket)
		return err
	})
}

// left returns the inputs in ins that are not done.
func (j *journal) left(ins []string) (left []string, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		left = slices.DeleteFunc(slices.Clone(ins), func(in string) bool {
			return tx.Bucket(doneBucket).Get([]byte(in)) != nil
		})
		return nil
	})
	return left, err
}

// done records that in is done. The record is on disk when done returns.
func (j *journal) done(in, out string) error {
	return j.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(doneBucket).Put([]byte(in), []byte(out))
	})
}

// How do I resume after a crash?
//
// Problem: a program works through its inputs for hours. After a crash it should not
// start from the beginning.
//
// Solution: the loop over the results records each outcome before it receives the
// next one, in a store that survives a crash, here bbolt. On start the program runs
// only inputs without a record. Only the loop writes, so the handlers need no lock.
//
// Trap: if the program dies after the work and before the record, the next start
// does the work again. So it must be safe to run the handler twice for an input
// (write to a temporary file and rename it; INSERT with ON CONFLICT). A commit writes
// to the disk, which takes milliseconds: if jobs are shorter, record some hundred of
// them in one commit.
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
				return fmt.Errorf("power failure at %s", r.In) // its work is done but not recorded
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
