package cloud

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"frankenetes.dev/fault"
)

func refused(status int, code, body string) error {
	return &azcore.ResponseError{StatusCode: status, ErrorCode: code, RawResponse: &http.Response{
		StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: &http.Request{}}}
}

func TestARefusalIsOneLine(t *testing.T) {
	err := explain(refused(409, "ContainerGroupTransitioning", `{"error":{"code":"ContainerGroupTransitioning","message":"still transitioning"}}`))
	if err.Error() != "ContainerGroupTransitioning: still transitioning" {
		t.Errorf("it says %q", err)
	}
	if Code(err) != "ContainerGroupTransitioning" || IsNotFound(err) || fault.KindOf(err) != fault.Failed {
		t.Errorf("code %q, kind %d", Code(err), fault.KindOf(err))
	}
	for _, body := range []string{"", "<html>", `{"error":"odd"}`, "null"} {
		if got := explain(refused(502, "BadGateway", body)).Error(); got != "BadGateway (502)" {
			t.Errorf("with body %q it says %q", body, got)
		}
	}
}

func TestAForbiddenRequestIsAMatterOfPermission(t *testing.T) {
	for _, status := range []int{401, 403} {
		if err := explain(refused(status, "AuthorizationFailed", "")); fault.KindOf(err) != fault.Permission || fault.HintOf(err) == "" {
			t.Errorf("%d: kind %d, hint %q", status, fault.KindOf(err), fault.HintOf(err))
		}
	}
	if err := explain(refused(507, "DiskFull", "")); fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
		t.Errorf("a full disk: kind %d, hint %q", fault.KindOf(err), fault.HintOf(err))
	}
	if !IsNotFound(explain(refused(404, "ResourceNotFound", ""))) {
		t.Error("404 is not told")
	}
	if odd := errors.New("odd"); explain(odd) != odd || explain(nil) != nil {
		t.Error("other errors are not left alone")
	}
}
