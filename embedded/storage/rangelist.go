package storage

import (
	"encoding/xml"
	"errors"
	"math"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// rangeList is the body of a list of a file's ranges that have been written.
type rangeList struct {
	XMLName xml.Name     `xml:"Ranges"`
	Ranges  []shownRange `xml:"Range"`
}

type shownRange struct{ Start, End int64 }

// listRanges answers which parts of a file have content; the others are zeros
// that take no room. The file system knows it, in blocks of its own.
func (f *filesRequest) listRanges(e *entry) error {
	if f.query.Has("prevsharesnapshot") {
		return errNoSnapshots
	}
	within, ok, err := f.byteRange()
	if err != nil {
		return err
	}
	if !ok {
		within = byteRange{0, math.MaxInt64}
	}
	list := rangeList{}
	if list.Ranges, err = writtenRanges(e.file, within, e.info.Size()); err != nil {
		return err
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	h := f.w.Header()
	h.Set("ETag", etag(e.info))
	h.Set("Last-Modified", e.info.ModTime().UTC().Format(http.TimeFormat))
	h.Set("x-ms-content-length", strconv.FormatInt(e.info.Size(), 10))
	writeXML(f.w, http.StatusOK, body)
	return nil
}

// writtenRanges returns the parts of a file of a size that are no holes.
func writtenRanges(file *os.File, within byteRange, size int64) ([]shownRange, error) {
	var list []shownRange
	end := min(within.last, size-1)
	for at := within.first; at <= end; {
		start, err := file.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // none from here on
			break
		}
		if err != nil {
			return nil, err
		}
		if start > end {
			break
		}
		if at, err = file.Seek(start, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		list = append(list, shownRange{start, min(at-1, end)})
	}
	return list, nil
}
