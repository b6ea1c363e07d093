package storage

import (
	"encoding/xml"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"syscall"
)

// filesError is a failure as the Files data plane tells it.
type filesError struct {
	status        int
	code, message string
}

func (e *filesError) Error() string { return e.code + ": " + e.message }

var (
	errAuthentication = &filesError{http.StatusForbidden, "AuthenticationFailed",
		"Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature."}
	errInvalidName      = &filesError{http.StatusBadRequest, "InvalidResourceName", "The specified resource name contains invalid characters."}
	errShareNotFound    = &filesError{http.StatusNotFound, "ShareNotFound", "The specified share does not exist."}
	errResourceNotFound = &filesError{http.StatusNotFound, "ResourceNotFound", "The specified resource does not exist."}
	errParentNotFound   = &filesError{http.StatusNotFound, "ParentNotFound", "The specified parent path does not exist."}
	errAlreadyExists    = &filesError{http.StatusConflict, "ResourceAlreadyExists", "The specified resource already exists."}
	errTypeMismatch     = &filesError{http.StatusConflict, "ResourceTypeMismatch",
		"The specified resource type does not match the type of the existing resource."}
	errNoSnapshots  = &filesError{http.StatusNotImplemented, "NotImplemented", "Snapshots of shares are not offered."}
	errNotEmpty     = &filesError{http.StatusConflict, "DirectoryNotEmpty", "The specified directory is not empty."}
	errInvalidRange = &filesError{http.StatusRequestedRangeNotSatisfiable, "InvalidRange",
		"The range specified is invalid for the current size of the resource."}
)

func invalidHeader(name string) error {
	return &filesError{http.StatusBadRequest, "InvalidHeaderValue",
		"The value for the header " + name + " is missing or is not in the correct format."}
}

// filesErrorOf returns what a client is told of an error.
func filesErrorOf(err error) *filesError {
	var e *filesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return errResourceNotFound
	case errors.Is(err, fs.ErrExist):
		return errAlreadyExists
	case errors.Is(err, syscall.EISDIR):
		return errTypeMismatch
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENAMETOOLONG):
		return errInvalidName
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &filesError{http.StatusInsufficientStorage, "ShareSizeLimitReached", "There is no space left on the share."}
	case isEscape(err):
		return errResourceNotFound
	}
	return &filesError{http.StatusInternalServerError, "InternalError", "The server encountered an internal error. Please retry the request."}
}

// isEscape says whether an os.Root refused to leave its directory, which is
// how a link that a container made to somewhere else ends.
func isEscape(err error) bool {
	var e *fs.PathError
	return errors.As(err, &e) && e.Err.Error() == "path escapes from parent"
}

func (e *filesError) write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-ms-error-code", e.code)
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: e.code, Message: e.message})
	if err != nil || r.Method == http.MethodHead {
		w.WriteHeader(e.status)
		return
	}
	writeXML(w, e.status, body)
}

func writeXML(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(body)))
	w.WriteHeader(status)
	w.Write(append([]byte(xml.Header), body...)) // a client that has gone needs no answer
}
