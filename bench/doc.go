// Package bench runs dispatch side by side with the pools a Go user would pick
// instead of it, and with the two things that need no pool at all: a go
// statement and a channel of workers.
//
// It is tests and no library. Run it with
//
//	go test -bench . ./bench
//	go run ./bench/report
//
// A work is something to be done, the same for everyone; a peer is one way to
// do it. Their product is BenchmarkPool, whose names line up in benchstat:
//
//	BenchmarkPool/work=process/pool=dispatch
//	benchstat -col /pool -row /work results.txt
//
// All figures are per job. b.N counts jobs, also where a work does them a
// thousand at a time (it is then rounded up to whole thousands), and the time
// runs from the first enqueue until the last result has been received. Because
// testing prints allocs/op as a whole number, the allocations are reported as
// allocs/job and B/job, with their fractions.
//
// README.md says what each work is and how the comparison is kept fair.
package bench
