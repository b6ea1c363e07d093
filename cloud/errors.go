package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"frankenetes.dev/fault"
)

// Refusal is a cloud's answer to a request that it did not fulfil, in one
// line; the SDK's own text is a page.
type Refusal struct {
	// Status is the HTTP status, Code and Message are the cloud's.
	Status        int
	Code, Message string
	cause         error
}

func (r *Refusal) Error() string {
	if r.Message == "" {
		return fmt.Sprintf("%s (%d)", r.Code, r.Status)
	}
	return r.Code + ": " + r.Message
}

// Unwrap returns the SDK's error.
func (r *Refusal) Unwrap() error { return r.cause }

// explain makes an error of the SDK readable, and says what kind it is.
func explain(err error) error {
	var response *azcore.ResponseError
	var login *azidentity.AuthenticationFailedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &response):
		refusal := &Refusal{Status: response.StatusCode, Code: response.ErrorCode, Message: message(response), cause: err}
		if refusal.Status == http.StatusUnauthorized || refusal.Status == http.StatusForbidden {
			return fault.New(fault.Permission, "ask for a role on the resource group or subscription, or use another credential", "%w", refusal)
		}
		if refusal.Status == http.StatusInsufficientStorage {
			return fault.New(fault.Unavailable, "free some space and call the same command again; nothing is lost", "%w", refusal)
		}
		return refusal
	case errors.As(err, &login):
		first, _, _ := strings.Cut(login.Error(), "\n")
		return fault.New(fault.Permission, "check the credential, for example with `az login`", "%s", first)
	}
	return err
}

// message reads the cloud's words from an answer.
func message(e *azcore.ResponseError) string {
	if e.RawResponse == nil || e.RawResponse.Body == nil {
		return ""
	}
	// The SDK has read the body and put it back.
	data, err := io.ReadAll(e.RawResponse.Body)
	if err != nil {
		return ""
	}
	e.RawResponse.Body = io.NopCloser(strings.NewReader(string(data)))
	var envelope struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(data, &envelope) != nil {
		return ""
	}
	return envelope.Error.Message
}

// IsNotFound reports whether a request failed because its object does not exist.
func IsNotFound(err error) bool {
	var e *azcore.ResponseError
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound
}

// Code returns the cloud's error code, empty when the error is not the cloud's.
func Code(err error) string {
	var e *azcore.ResponseError
	if errors.As(err, &e) {
		return e.ErrorCode
	}
	return ""
}
