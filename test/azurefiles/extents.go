package azurefiles

import "slices"

// extents are what a client has written to a file and the server has not got:
// pieces in the order of their place, of which no two overlap.
type extents struct{ list []extent }

type extent struct {
	at   int64
	data []byte
}

func (e extent) end() int64 { return e.at + int64(len(e.data)) }

// write puts data in the place of what is there. It keeps a copy.
func (x *extents) write(data []byte, at int64) {
	if len(data) == 0 {
		return
	}
	i := x.cut(at, at+int64(len(data)))
	if i > 0 && x.list[i-1].end() == at { // most files grow at their end
		x.list[i-1].data = append(x.list[i-1].data, data...)
		return
	}
	x.list = slices.Insert(x.list, i, extent{at, slices.Clone(data)})
}

// cut removes all that is between two places, and returns the index at which a
// piece for it belongs.
func (x *extents) cut(from, to int64) int {
	i := 0
	for i < len(x.list) && x.list[i].end() <= from {
		i++
	}
	j := i
	var rest []extent
	for ; j < len(x.list) && x.list[j].at < to; j++ {
		e := x.list[j]
		if e.at < from {
			rest = append(rest, extent{e.at, slices.Clip(e.data[:from-e.at])})
		}
		if e.end() > to {
			rest = append(rest, extent{to, e.data[to-e.at:]})
		}
	}
	x.list = slices.Replace(x.list, i, j, rest...)
	if len(rest) > 0 && rest[0].at < from {
		i++
	}
	return i
}

// truncate removes all that is beyond a size.
func (x *extents) truncate(size int64) {
	if end := x.end(); end > size {
		x.cut(size, end)
	}
}

// end is where the last piece ends.
func (x *extents) end() int64 {
	if x == nil || len(x.list) == 0 {
		return 0
	}
	return x.list[len(x.list)-1].end()
}

// overlay puts what was written over what the server has from a place on.
func (x *extents) overlay(buf []byte, at int64) {
	if x == nil {
		return
	}
	for _, e := range x.list {
		from, to := max(e.at, at), min(e.end(), at+int64(len(buf)))
		if from < to {
			copy(buf[from-at:to-at], e.data[from-e.at:to-e.at])
		}
	}
}
