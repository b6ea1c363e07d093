package embedded

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// refresh has a daemon that runs already take the images of o, which may be
// newer than those that it started with. What it has is not copied again, and
// groups that run keep the images that they have.
func refresh(ctx context.Context, o Options) error {
	answer, err := askDaemon(ctx, o, http.MethodPost, imagesPath+"?layout="+url.QueryEscape(o.Images), nil)
	if err != nil {
		return fmt.Errorf("give the running cloud the images of %s: %w", o.Images, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return nil
	}
	return fmt.Errorf("give the running cloud the images of %s: %w", o.Images, refused(answer))
}
