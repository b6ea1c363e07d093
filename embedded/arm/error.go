package arm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Error is a failure as ARM tells it to a client.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the word that programs compare, Message is for people, Target
	// names the part of the request that is meant.
	Code, Message, Target string
	// RetryAfter, when not zero, becomes the Retry-After header, in seconds.
	RetryAfter time.Duration
	// Details are the failures that this one is made of, if any.
	Details []*Error
}

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// errorBody is the inside of ARM's error envelope.
type errorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`

	Details []errorBody `json:"details,omitempty"`
}

func (e *Error) body() errorBody {
	body := errorBody{Code: e.Code, Message: e.Message, Target: e.Target}
	for _, d := range e.Details {
		body.Details = append(body.Details, d.body())
	}
	return body
}

// MarshalJSON writes the error as ARM shows it inside of others.
func (e *Error) MarshalJSON() ([]byte, error) { return json.Marshal(e.body()) }

// NotFound says that a resource of a type, such as
// "Microsoft.ContainerInstance/containerGroups", is not in its group.
func NotFound(resourceType, name, group string) *Error {
	return &Error{
		Status: http.StatusNotFound,
		Code:   "ResourceNotFound",
		Message: fmt.Sprintf("The Resource '%s/%s' under resource group '%s' was not found.",
			resourceType, name, group),
	}
}

// BadRequest is a refusal of what the client sent.
func BadRequest(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Conflict is a refusal because of the state that a resource is in.
func Conflict(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusConflict, Code: code, Message: fmt.Sprintf(format, args...)}
}

// internal hides a failure of ours behind the id under which it was logged. A
// full disk is not hidden: only the user can do something about it.
func internal(id string, err error) *Error {
	if errors.Is(err, syscall.ENOSPC) || err != nil && strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return &Error{Status: http.StatusInsufficientStorage, Code: "DiskFull",
			Message: "The disk that holds the data of the embedded cloud is full."}
	}
	return &Error{Status: http.StatusInternalServerError, Code: "InternalServerError",
		Message: fmt.Sprintf("Encountered an internal server error. The tracking id is '%s'.", id)}
}
