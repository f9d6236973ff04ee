// Package bench compares dispatch with the pools a Go user would pick instead of it,
// and with two ways that need no pool at all: a go statement per job, and a fixed
// number of goroutines that receive from a channel.
//
// It has only tests and benchmarks. Run them with
//
//	go test -bench . ./bench
//	go run ./bench/report
//
// A work is a task that is the same for everyone; a peer is one way to do it.
// BenchmarkPool runs every work on every peer. Its names line up in benchstat:
//
//	BenchmarkPool/work=process/pool=dispatch
//	benchstat -col /pool -row /work results.txt
//
// All figures are per job. b.N counts jobs, even if a work does a thousand at a time
// (b.N is then rounded up to whole thousands). The time runs from the first enqueue
// until the last result has been received. Because package testing prints allocs/op as
// a whole number, the allocations are reported as allocs/job and B/job, with fractions.
//
// README.md describes each work and how the comparison is kept fair.
package bench
