// Package others requires what the code in the documents uses, other pools above
// all. It is a module of its own, so that nobody else has to.
package others

import (
	// A snippet names packages and does not import them, as is usual in documents.
	// These are those that it may name.
	_ "context"
	_ "crypto/sha256"
	_ "errors"
	_ "expvar"
	_ "fmt"
	_ "io"
	_ "log"
	_ "log/slog"
	_ "net/http"
	_ "os"
	_ "slices"
	_ "strings"
	_ "sync"
	_ "time"

	// Other pools, and what goes with a pool.
	_ "github.com/Jeffail/tunny"
	_ "github.com/alitto/pond/v2"
	_ "github.com/gammazero/workerpool"
	_ "github.com/ivpusic/grpool"
	_ "github.com/panjf2000/ants/v2"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/sourcegraph/conc/iter"
	_ "github.com/sourcegraph/conc/stream"
	_ "github.com/wazsmwazsm/mortar"
	_ "golang.org/x/sync/errgroup"
	_ "gopkg.in/go-playground/pool.v3"

	// This repository.
	_ "example.com/dispatch"
	_ "example.com/dispatch/page"
	_ "example.com/dispatch/promdispatch"
)
