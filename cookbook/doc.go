// Package cookbook has recipes for pools: what people do around a pool, with the
// libraries they do it with. README.md is the index, by question.
//
// Each recipe is a file with an example that runs as a test. It states the
// problem, the solution and the trap.
package cookbook
