module example.com/dispatch/docs/snippets/others

go 1.26.0

require (
	example.com/dispatch v0.0.0
	example.com/dispatch/promdispatch v0.0.0
	github.com/Jeffail/tunny v0.1.4
	github.com/alitto/pond/v2 v2.7.1
	github.com/gammazero/workerpool v1.3.0
	github.com/ivpusic/grpool v1.0.0
	github.com/panjf2000/ants/v2 v2.12.1
	github.com/prometheus/client_golang v1.25.0
	github.com/sourcegraph/conc v0.3.0
	github.com/wazsmwazsm/mortar v1.5.2
	golang.org/x/sync v0.24.0
	gopkg.in/go-playground/pool.v3 v3.1.1
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/gammazero/deque v1.2.2 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	go.uber.org/atomic v1.7.0 // indirect
	go.uber.org/multierr v1.9.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	gopkg.in/go-playground/assert.v1 v1.2.1 // indirect
)

replace (
	example.com/dispatch => ../../../
	example.com/dispatch/promdispatch => ../../../promdispatch
)
