// Package modeltest finds faults that example tests miss. It has a model of the pool
// against which random programs are checked, a fuzz target for the same programs, a
// check of linearizability, and stress tests in real time. Its commands run the tests
// under many schedules (schedules), break the pool on purpose to see that a test
// notices (mutate), and keep the pool under full load for a long time (soak).
//
// It has no API, and uses the pool only through the pool's exported API. See README.md
// for how to run each part.
package modeltest
