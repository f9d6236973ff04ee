package modeltest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// shards is how many goroutines run programs.
const shards = 4

// TestModel runs random programs against the model, in shards so that all processors have
// work. Rapid draws the bytes of a program. The program then runs in a bubble without
// further draws, because rapid can shrink a failure only if it sees it outside the
// bubble.
func TestModel(t *testing.T) {
	for shard := range shards {
		t.Run(fmt.Sprintf("shard %d", shard), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				data := programBytes.Draw(rt, "program")
				if err := run(t, decode(data)); err != nil {
					rt.Fatalf("%v\nas a file of testdata/fuzz/FuzzModel:\n%s", err, corpusFile(data))
				}
			})
		})
	}
}

// programBytes generates the bytes of a program. Drawing each step as one value
// lets rapid remove whole steps when it shrinks.
var programBytes = rapid.Custom(func(t *rapid.T) []byte {
	data := rapid.SliceOfN(rapid.Byte(), headerSize, headerSize).Draw(t, "setup")
	oneStep := rapid.Custom(func(t *rapid.T) [stepSize]byte {
		var s [stepSize]byte
		s[0] = byte(rapid.IntRange(0, len(ops)-1).Draw(t, "op"))
		for i := 1; i < stepSize; i++ {
			s[i] = rapid.Byte().Draw(t, "argument")
		}
		return s
	})
	for _, s := range rapid.SliceOfN(oneStep, 1, maxSteps).Draw(t, "steps") {
		data = append(data, s[:]...)
	}
	return data
})

// corpusFile returns the content of a file in the fuzz target's corpus.
func corpusFile(data []byte) string {
	return fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", data)
}
