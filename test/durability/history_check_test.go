package durability

import (
	"strings"
	"testing"
	"time"
)

func TestTheCheckerFindsWhatIsWrong(t *testing.T) {
	start := time.Unix(1, 0)
	op := func(at int, kind, key string, value int, o outcome, revision int64) operation {
		call := start.Add(time.Duration(at) * time.Second)
		return operation{kind: kind, key: key, value: value, call: call, back: call.Add(time.Millisecond), outcome: o, revision: revision}
	}
	for name, c := range map[string]struct {
		all   []operation
		final final
		want  string
	}{
		"nothing": {nil, final{}, ""},
		"all there": {[]operation{op(1, "put", "a", 1, done, 2), op(2, "put", "a", 2, unknown, 0), op(3, "add", counter, 0, done, 3)},
			final{map[string]int{"a": 1, counter: 1}, 3}, ""},
		"an unknown one was done":     {[]operation{op(1, "put", "a", 1, unknown, 0), op(3, "add", counter, 0, unknown, 0)}, final{map[string]int{"a": 1, counter: 1}, 3}, ""},
		"an unknown one was not":      {[]operation{op(1, "put", "a", 1, unknown, 0), op(3, "add", counter, 0, unknown, 0)}, final{}, ""},
		"lost":                        {[]operation{op(1, "put", "a", 1, done, 2), op(2, "put", "a", 2, done, 3)}, final{map[string]int{"a": 1}, 3}, "2 was acknowledged"},
		"from nowhere":                {[]operation{op(1, "put", "a", 1, done, 2)}, final{map[string]int{"a": 2}, 3}, "nobody has written"},
		"a delete that may have been": {[]operation{op(1, "put", "a", 1, done, 2), op(2, "delete", "a", 0, unknown, 0)}, final{map[string]int{}, 3}, ""},
		"back from the dead":          {[]operation{op(1, "delete", "a", 0, done, 2)}, final{map[string]int{"a": 2}, 3}, "it was deleted"},
		"revision lost":               {[]operation{op(1, "put", "a", 1, done, 9)}, final{map[string]int{"a": 1}, 8}, "in the end"},
		"revision goes back":          {[]operation{op(1, "put", "a", 1, done, 9), op(2, "put", "b", 1, done, 7)}, final{map[string]int{"a": 1, "b": 1}, 9}, "7 after it"},
		"an addition lost":            {[]operation{op(1, "add", counter, 0, done, 2), op(2, "add", counter, 1, done, 3)}, final{map[string]int{counter: 1}, 3}, "no order"},
		"two from the same": {[]operation{op(1, "add", counter, 0, done, 2), op(2, "add", counter, 0, done, 3)},
			final{map[string]int{counter: 1}, 3}, "no order"},
		"an old read": {[]operation{op(1, "add", counter, 0, done, 2), op(2, "read", counter, 0, done, 2)}, final{map[string]int{counter: 1}, 2}, "no order"},
	} {
		got := judge(c.all, c.final)
		if c.want == "" && len(got) > 0 || c.want != "" && !strings.Contains(strings.Join(got, "; "), c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if n := acknowledged([]operation{op(1, "put", "a", 1, done, 1), op(1, "read", "a", 1, done, 1)}); n != 1 {
		t.Errorf("of a write and a read, %d are writes", n)
	}
}
