package limits

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLimitsAreReadAndWritten(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  Limits
		again []string
	}{
		{nil, Limits{}, []string{}},
		{[]string{"groups=7", "none"}, Limits{}, []string{}},
		{[]string{"cores=0.5", "capacity=8", "groups=7"}, Limits{Groups: 7, Cores: 0.5, Capacity: 8}, []string{"groups=7", "cores=0.5", "capacity=8"}},
		{[]string{"creates=1/5s,300/1h", "deletes=2/90s"}, Limits{Creates: []Rate{{1, 5 * time.Second}, {300, time.Hour}}, Deletes: []Rate{{2, 90 * time.Second}}},
			[]string{"creates=1/5s,300/1h", "deletes=2/1m30s"}},
		{[]string{"azure", "cores=10"}, Limits{Groups: 100, Cores: 10, Creates: Azure().Creates, Deletes: Azure().Deletes},
			[]string{"groups=100", "cores=10", "creates=100/5m,300/1h", "deletes=100/5m,300/1h"}},
	} {
		got, err := Parse(test.words)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v: %s", test.words, diff)
		}
		if diff := cmp.Diff(test.again, got.Words()); diff != "" {
			t.Errorf("%v written: %s", test.words, diff)
		}
		if again, err := Parse(got.Words()); err != nil || !cmp.Equal(got, again) {
			t.Errorf("%v read again: %v, %v", test.words, again, err)
		}
	}
	for _, word := range []string{"", "pods=1", "groups", "groups=", "groups=0", "groups=-1", "groups=1.5", "groups=x", "cores=NaN", "cores=Inf", "capacity=0",
		"creates=100", "creates=100/", "creates=100/5", "creates=100/1ms", "creates=0/5m", "creates=,", "deletes=1/1m,"} {
		if got, err := Parse([]string{word}); err == nil {
			t.Errorf("%q is read as %+v", word, got)
		}
	}
}

func TestAWindowHasRoomAgainWhenTimeHasPassed(t *testing.T) {
	rates := []Rate{{2, 10 * time.Second}, {3, time.Minute}}
	var w Window
	start := time.Unix(1_000_000, 0)
	for _, step := range []struct{ at, wait int }{
		{0, 0}, {1, 0}, {2, 8}, {9, 1}, {10, 0}, {11, 49}, {59, 1}, {60, 0}, {61, 0}, {62, 8}, {120, 0},
	} {
		now := start.Add(time.Duration(step.at) * time.Second)
		wait := w.Wait(rates, now)
		if wait != time.Duration(step.wait)*time.Second {
			t.Errorf("at %d s: wait %s, want %d s", step.at, wait, step.wait)
		}
		if wait == 0 {
			w.Note(rates, now)
		}
	}
	if len(w.times) > 3 {
		t.Errorf("%d times are remembered of the last minute", len(w.times))
	}
}
