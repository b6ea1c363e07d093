package protocol

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

func TestFramesComeOutAsTheyWentIn(t *testing.T) {
	var wire bytes.Buffer
	flushes := 0
	w := NewFrameWriter(&wire, func() { flushes++ })
	big := strings.Repeat("x", 2*MaxData+1)
	if err := w.Write(Begin, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if n, err := io.WriteString(w.Data(Output), big); n != len(big) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if err := w.Write(EndOfData, nil); err != nil {
		t.Fatal(err)
	}

	r := NewFrameReader(&wire)
	var kinds []Kind
	var data strings.Builder
	for {
		kind, payload, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, kind)
		if kind == Output {
			if len(payload) > MaxData {
				t.Errorf("a frame of %d bytes", len(payload))
			}
			data.Write(payload)
		}
	}
	if want := []Kind{Begin, Output, Output, Output, EndOfData}; !bytes.Equal(asBytes(kinds), asBytes(want)) {
		t.Errorf("got kinds %v, want %v", kinds, want)
	}
	if data.String() != big {
		t.Error("data has changed on the way")
	}
	if flushes != len(kinds) {
		t.Errorf("%d flushes of %d frames", flushes, len(kinds))
	}
}

func asBytes(kinds []Kind) []byte {
	var b []byte
	for _, k := range kinds {
		b = append(b, byte(k))
	}
	return b
}

func TestBrokenFrames(t *testing.T) {
	tests := map[string]struct {
		wire string
		want error // nil: any error that is not io.EOF
	}{
		"nothing":          {"", io.EOF},
		"part of a header": {"\x03\x00\x00", io.ErrUnexpectedEOF},
		"no payload":       {"\x03\x00\x00\x00\x02", io.ErrUnexpectedEOF},
		"part of one":      {"\x03\x00\x00\x00\x02x", io.ErrUnexpectedEOF},
		"a huge one":       {"\x03\xff\xff\xff\xff", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := NewFrameReader(strings.NewReader(test.wire)).Next()
			if test.want != nil && !errors.Is(err, test.want) || err == nil || test.want == nil && err == io.EOF {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestFramesOfManyWritersStayWhole(t *testing.T) {
	r, w := io.Pipe()
	frames := NewFrameWriter(w, nil)
	var writers sync.WaitGroup
	for _, text := range []string{"aaaa", "bbbb", "cccc"} {
		writers.Go(func() {
			for range 100 {
				if err := frames.Write(Output, []byte(text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		writers.Wait()
		w.Close()
	}()
	in := NewFrameReader(r)
	n := 0
	for ; ; n++ {
		_, data, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s := string(data); s != strings.Repeat(s[:1], 4) {
			t.Fatalf("frame %q is mixed", s)
		}
	}
	if n != 300 {
		t.Errorf("got %d frames of 300", n)
	}
}
