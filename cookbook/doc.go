// Package cookbook has recipes for common tasks around a pool, with well-known
// libraries. README.md is the index, by question.
//
// Each recipe is a file with an example that runs as a test. It states the
// problem, the solution and the trap.
package cookbook
