// Package modeltest holds what example tests cannot: a model of the pool that
// random programs are checked against, a fuzz target for the same programs, a
// check of linearizability, stress tests in real time, and the commands that
// run them under many schedules (schedules), break the pool on purpose to see
// that a test notices (mutate) and keep it under full load for long (soak).
//
// It has no API, and it reaches the pool only through its exported one. See
// README.md for how to run what.
package modeltest
