package storage

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// contentHeaders are the properties of a file that a client sets as
// x-ms-{name in lower case}, or as x-ms-{other} where the service's own word
// for it is another, and that come back with the file.
func contentHeaders() []string {
	return []string{"Content-Type", "Content-Encoding", "Content-Language", "Cache-Control", "Content-Disposition", "Content-MD5"}
}

// setHeaders keeps the content headers of a request that sets all of them.
func (a *attributes) setHeaders(h http.Header) {
	a.Headers = map[string]string{}
	for _, name := range contentHeaders() {
		if value := h.Get("x-ms-" + name); value != "" {
			a.Headers[name] = value
		}
	}
}

// sentTimes are the times that a request gives to a file; those that it does
// not give are zero.
type sentTimes struct{ created, written time.Time }

// smbProperties applies the x-ms-file- headers of a request to the attributes,
// and returns the times it gives. "now" is what the system does by itself.
func (f *filesRequest) smbProperties(a *attributes, dir bool) (t sentTimes, err error) {
	for name, to := range map[string]*time.Time{
		"x-ms-file-creation-time": &t.created, "x-ms-file-last-write-time": &t.written,
	} {
		text := f.Header.Get(name)
		if text == "" || strings.EqualFold(text, "now") || strings.EqualFold(text, "preserve") {
			continue
		}
		if *to, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return t, invalidHeader(name)
		}
	}
	if !t.created.IsZero() {
		a.Created = t.created.UTC()
	}
	text := f.Header.Get("x-ms-file-attributes")
	if text == "" || strings.EqualFold(text, "preserve") {
		return t, nil
	}
	a.FileAttributes, err = smbAttributes(text, dir)
	return t, err
}

// smbAttributes checks a list such as "ReadOnly|Hidden" and spells it out. It is
// empty for what is usual, which then follows the kind of the file.
func smbAttributes(text string, dir bool) (string, error) {
	known := []string{"None", "ReadOnly", "Hidden", "System", "Directory", "Archive", "Temporary", "Offline", "NotContentIndexed", "NoScrubData"}
	var list []string
	for word := range strings.SplitSeq(text, "|") {
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, strings.TrimSpace(word)) })
		if i < 0 {
			return "", invalidHeader("x-ms-file-attributes")
		}
		if known[i] != "None" && known[i] != "Directory" {
			list = append(list, known[i])
		}
	}
	if dir {
		list = append([]string{"Directory"}, list...)
	}
	shown := strings.Join(list, " | ")
	if shown == "" && !dir {
		shown = "None"
	}
	if shown == "Directory" || shown == "Archive" {
		shown = ""
	}
	return shown, nil
}

// setTimes gives an entry the time of writing that a request gave, if it did.
// A link in /proc is the only way to name an open file here.
func (e *entry) setTimes(t sentTimes) error {
	if t.written.IsZero() {
		return nil
	}
	return os.Chtimes(fdPath(e.file), time.Time{}, t.written)
}

// setProperties sets the properties of a file, and its size, or those of a
// directory.
func (f *filesRequest) setProperties(e *entry, dir bool) error {
	if !dir && f.Header.Get("x-ms-content-length") != "" {
		size, err := f.size()
		if err != nil {
			return err
		}
		if err := e.file.Truncate(size); err != nil {
			return err
		}
	}
	var t sentTimes
	err := f.amend(e, func(a *attributes) (err error) {
		if !dir && f.setsHeaders() {
			a.setHeaders(f.Header)
		}
		t, err = f.smbProperties(a, dir)
		return err
	})
	if err != nil {
		return err
	}
	if err := e.setTimes(t); err != nil {
		return err
	}
	return f.changed(e, http.StatusOK)
}

// setsHeaders says whether a request to set properties is about the content
// headers: it has one, or it is no mere resize, which clears none.
func (f *filesRequest) setsHeaders() bool {
	if f.Header.Get("x-ms-content-length") == "" {
		return true
	}
	return slices.ContainsFunc(contentHeaders(), func(name string) bool { return f.Header.Get("x-ms-"+name) != "" })
}

// setMetadata replaces the metadata of a file or directory.
func (f *filesRequest) setMetadata(e *entry) error {
	metadata, err := f.metadata()
	if err != nil {
		return err
	}
	err = f.amend(e, func(a *attributes) error {
		a.Metadata = metadata
		return nil
	})
	if err != nil {
		return err
	}
	return f.changed(e, http.StatusOK)
}
