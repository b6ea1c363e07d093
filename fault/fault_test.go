package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestKindHintAndCauseSurviveWrapping(t *testing.T) {
	cause := errors.New("connection refused")
	err := fmt.Errorf("up: %w", New(Unavailable, "start it", "ask the cloud: %w", cause))
	if KindOf(err) != Unavailable || HintOf(err) != "start it" || !errors.Is(err, cause) {
		t.Errorf("kind %d, hint %q, %v", KindOf(err), HintOf(err), err)
	}
	if err.Error() != "up: ask the cloud: connection refused" {
		t.Errorf("it says %q", err)
	}
}

func TestAnyOtherErrorHasFailed(t *testing.T) {
	err := errors.New("odd")
	if KindOf(err) != Failed || HintOf(err) != "" || LogOf(err) != nil {
		t.Errorf("kind %d, hint %q", KindOf(err), HintOf(err))
	}
}
