package snippet

import (
	"context"
	"errors"
	"time"
)

// What docs/MIGRATING.md says that its snippets have.
var (
	urls    []string // for fetch
	words   []string // for count
	ids     []int    // for getUser
	numbers []int    // for work

	errBusy = errors.New("busy")
)

func fetch(ctx context.Context, url string) (string, error)
func getUser(ctx context.Context, id int) (string, error)
func count(word string) (int, error)
func work(n int)
func show(page string, err error)

// What README.md takes for granted, besides fetch.
const limit = time.Second

type Mail struct{ To string }

func send(ctx context.Context, m Mail) (int, error)
