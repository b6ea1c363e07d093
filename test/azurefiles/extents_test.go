package azurefiles

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestExtents compares what is written in pieces with a plain array.
func TestExtents(t *testing.T) {
	const size = 64
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var x extents
		want, written := make([]byte, size), make([]bool, size)
		for i := range byte(20) {
			from := random.IntN(size)
			to := from + random.IntN(size-from+1)
			if random.IntN(6) == 0 {
				x.truncate(int64(from))
				clear(want[from:])
				clear(written[from:])
				continue
			}
			data := bytes.Repeat([]byte{i + 1}, to-from)
			x.write(data, int64(from))
			copy(want[from:], data)
			for j := from; j < to; j++ {
				written[j] = true
			}
		}
		got := make([]byte, size)
		x.overlay(got, 0)
		if !bytes.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
		end := int64(0)
		for i, is := range written {
			if is {
				end = int64(i + 1)
			}
		}
		if x.end() != end {
			t.Fatalf("ends at %d, want %d", x.end(), end)
		}
		last := int64(0)
		for _, e := range x.list {
			if e.at < last || len(e.data) == 0 {
				t.Fatalf("not in order: %v", x.list)
			}
			last = e.end()
		}
	}
}
