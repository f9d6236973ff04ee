package modeltest

import "testing"

// FuzzModel runs the programs of TestModel, decoded from the fuzzer's bytes.
// Its corpus holds every program that ever broke the pool; a plain go test
// runs them all.
func FuzzModel(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := run(t, decode(data)); err != nil {
			t.Fatal(err)
		}
	})
}
