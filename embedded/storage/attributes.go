package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// attributesName is the extended attribute of a file or directory in which is
// kept what a plain file has no place for. It belongs to the file itself, so it
// stays through renames and writes by containers, and goes with the file. It is
// one of "user.": those of "trusted." would need a privilege that a daemon of
// a user's own does not have, and who can write the share may change it anyway.
const attributesName = "user.frankenetes.files"

// maxAttributes is the most bytes of them, of which a client's metadata may have
// 8 KiB on Azure; many file systems keep no more than 4 KiB.
const maxAttributes = 64 << 10

// attributes are what the data plane keeps of a file beside its content.
type attributes struct {
	Metadata map[string]string `json:"metadata,omitempty"`
	// The rest is of files alone. Headers are by the name of the answer's header.
	Headers map[string]string `json:"headers,omitempty"`
	// Created is zero where the client did not say.
	Created time.Time `json:"created,omitzero"`
	// FileAttributes is such as "ReadOnly|Archive", empty for the usual.
	FileAttributes string `json:"fileAttributes,omitempty"`
	Lease          lease  `json:"lease,omitzero"`
	Copy           copied `json:"copy,omitzero"`
}

// surelyFits is how many bytes of attributes every file system keeps that keeps
// any. No room for more is its limit; no room for these is a full disk.
const surelyFits = 2 << 10

// readAttributes returns those of an open file, none where it has none. What a
// container wrote there and is no record is none either.
func readAttributes(file *os.File) (attributes, error) {
	var a attributes
	data := make([]byte, maxAttributes)
	n, err := unix.Fgetxattr(int(file.Fd()), attributesName, data)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ERANGE):
		return a, nil
	case err != nil:
		return a, fmt.Errorf("read attributes of %s: %w", file.Name(), err)
	}
	if json.Unmarshal(data[:n], &a) != nil {
		return attributes{}, nil
	}
	return a, nil
}

// writeAttributes keeps attributes with an open file.
func writeAttributes(file *os.File, a attributes) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode attributes: %w", err)
	}
	if string(data) == "{}" {
		err = unix.Fremovexattr(int(file.Fd()), attributesName)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
			err = nil
		}
	} else {
		err = unix.Fsetxattr(int(file.Fd()), attributesName, data, 0)
	}
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return &filesError{http.StatusNotImplemented, "NotImplemented",
			"The file system under the share keeps no extended attributes, and so no metadata."}
	case errors.Is(err, unix.ENOSPC) && len(data) > surelyFits, errors.Is(err, unix.E2BIG), errors.Is(err, unix.ERANGE):
		return &filesError{http.StatusBadRequest, "MetadataTooLarge", "The metadata and properties of the file are larger than the file system keeps."}
	case err != nil:
		return fmt.Errorf("write attributes of %s: %w", file.Name(), err)
	}
	return nil
}

// amend changes the attributes of an open file or directory as they are now,
// and keeps them. One change at a time: none is lost in another's.
func (f *filesRequest) amend(e *entry, change func(*attributes) error) error {
	f.service.attributes.Lock()
	defer f.service.attributes.Unlock()
	a, err := readAttributes(e.file)
	if err != nil {
		return err
	}
	if err := change(&a); err != nil {
		return err
	}
	if err := writeAttributes(e.file, a); err != nil {
		return err
	}
	e.attributes = a
	return e.refresh()
}

const metadataPrefix = "x-ms-meta-"

// maxMetadata is the most bytes that names and values may have together.
const maxMetadata = 8 << 10

// metadata returns the request's x-ms-meta- headers.
func (f *filesRequest) metadata() (map[string]string, error) {
	metadata, size := map[string]string{}, 0
	for name, values := range f.Header {
		key, ok := strings.CutPrefix(strings.ToLower(name), metadataPrefix)
		if !ok {
			continue
		}
		if key == "" {
			return nil, &filesError{http.StatusBadRequest, "EmptyMetadataKey", "The key for one of the metadata key-value pairs is empty."}
		}
		if !metadataKey(key) {
			return nil, &filesError{http.StatusBadRequest, "InvalidMetadata", "The metadata name " + key + " is not an identifier."}
		}
		metadata[key] = strings.Join(values, ",")
		size += len(key) + len(metadata[key])
	}
	if size > maxMetadata {
		return nil, &filesError{http.StatusBadRequest, "MetadataTooLarge", "The size of the specified metadata exceeds 8 KiB."}
	}
	return metadata, nil
}

// metadataKey says whether a name is an identifier, as names of metadata must be.
func metadataKey(key string) bool {
	for i, c := range key {
		letter := c == '_' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// showMetadata sets the headers of metadata, in lower case as Azure does: the
// Python client knows them by it.
func showMetadata(h http.Header, metadata map[string]string) {
	for name, value := range metadata {
		h[metadataPrefix+name] = []string{value}
	}
}
