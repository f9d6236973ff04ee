// Package others imports the packages that the code in the documents uses, above all
// other pools. It is a module of its own, so that no other module requires them.
package others

import (
	// A snippet uses packages without importing them, as is usual in documents. These
	// are the packages that it may use.
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

	// Other pools, and packages that are used with a pool.
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
