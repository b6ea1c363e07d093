package storage

import (
	"crypto/md5"
	"encoding/base64"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxRange is the most bytes that one request may write.
const maxRange = 4 << 20

// byteRange is a run of bytes, both ends included.
type byteRange struct{ first, last int64 }

// byteRange returns the request's range, if it has one; x-ms-range wins. Its
// last is the largest number there is where the range is open.
func (f *filesRequest) byteRange() (byteRange, bool, error) {
	name := "x-ms-range"
	if f.Header.Get(name) == "" {
		name = "Range"
	}
	text := f.Header.Get(name)
	if text == "" {
		return byteRange{}, false, nil
	}
	numbers, ok := strings.CutPrefix(text, "bytes=")
	first, last, dash := strings.Cut(numbers, "-")
	r := byteRange{last: math.MaxInt64}
	var err error
	if r.first, err = strconv.ParseInt(first, 10, 64); err != nil || !ok || !dash || r.first < 0 {
		return r, false, invalidHeader(name)
	}
	if last != "" {
		if r.last, err = strconv.ParseInt(last, 10, 64); err != nil || r.last < r.first {
			return r, false, invalidHeader(name)
		}
	}
	return r, true, nil
}

// putRange writes bytes into a file, or clears them; the file does not grow.
func (f *filesRequest) putRange(e *entry) error {
	if f.Header.Get("x-ms-copy-source") != "" {
		return &filesError{http.StatusNotImplemented, "NotImplemented", "Ranges are not copied from a URL."}
	}
	r, ok, err := f.byteRange()
	if err != nil {
		return err
	}
	if !ok || r.last == math.MaxInt64 {
		return invalidHeader("x-ms-range")
	}
	if r.last >= e.info.Size() {
		return errInvalidRange
	}
	switch strings.ToLower(f.Header.Get("x-ms-write")) {
	case "update":
		err = f.update(e.file, r)
	case "clear":
		err = unix.Fallocate(int(e.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, r.first, r.last-r.first+1)
		if err == unix.EOPNOTSUPP {
			_, err = io.Copy(io.NewOffsetWriter(e.file, r.first), io.LimitReader(zeros{}, r.last-r.first+1))
		}
	default:
		err = invalidHeader("x-ms-write")
	}
	if err != nil {
		return err
	}
	if strings.EqualFold(f.Header.Get("x-ms-file-last-write-time"), "preserve") {
		if err := e.setTimes(sentTimes{written: e.info.ModTime()}); err != nil {
			return err
		}
	}
	return f.changed(e, http.StatusCreated)
}

// update writes the body, which is read as a whole first: a client that
// breaks off leaves the file as it was.
func (f *filesRequest) update(file *os.File, r byteRange) error {
	length := r.last - r.first + 1
	if length > maxRange {
		return &filesError{http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "A range may have up to 4 MiB."}
	}
	if f.ContentLength != length {
		return invalidHeader("Content-Length")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(f.Body, body); err != nil {
		return &filesError{http.StatusBadRequest, "InvalidInput", "The body ended early."}
	}
	if want := f.Header.Get("Content-MD5"); want != "" {
		sum := md5.Sum(body)
		f.w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
		if want != base64.StdEncoding.EncodeToString(sum[:]) {
			return &filesError{http.StatusBadRequest, "Md5Mismatch", "The MD5 value specified in the request did not match the body's."}
		}
	}
	_, err := file.WriteAt(body, r.first)
	return err
}

// maxHashed is the most bytes of which a client may ask the MD5 of.
const maxHashed = 4 << 20

// rangeMD5 sets the MD5 of a range that the client asked for with it.
func (f *filesRequest) rangeMD5(e *entry, ranged bool, first, length int64) error {
	const name = "x-ms-range-get-content-md5"
	if !strings.EqualFold(f.Header.Get(name), "true") {
		return nil
	}
	if !ranged {
		return &filesError{http.StatusBadRequest, "InvalidHeaderValue", "The header " + name + " needs a range."}
	}
	if length > maxHashed {
		return &filesError{http.StatusBadRequest, "OutOfRangeInput", "The MD5 is told of ranges of up to 4 MiB."}
	}
	sum := md5.New()
	if _, err := io.Copy(sum, io.NewSectionReader(e.file, first, length)); err != nil {
		return err
	}
	f.w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	return nil
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
