package embedded

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"frankenetes.dev/embedded/images"
)

const (
	// imagesPath is where the daemon is asked to take images.
	imagesPath = "/images"
	// maxWords is how much of a refusal is read, in bytes.
	maxWords = 4 << 10
)

// refresh has a daemon that runs already take the images of o, which may be
// newer than those that it started with. What it has is not copied again, and
// groups that run keep the images that they have.
func refresh(ctx context.Context, o Options) error {
	answer, err := askDaemon(ctx, o, http.MethodPost, imagesPath+"?layout="+url.QueryEscape(o.Images))
	if err != nil {
		return fmt.Errorf("give the running cloud the images of %s: %w", o.Images, err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusServiceUnavailable:
		return errStopping
	}
	words, _ := io.ReadAll(io.LimitReader(answer.Body, maxWords)) // what came of them
	return fmt.Errorf("give the running cloud the images of %s: %s", o.Images, bytes.TrimSpace(words))
}

// takeImages imports what the image store lacks of a layout.
func (d *daemon) takeImages(ctx context.Context, layout string) error {
	d.importing.Lock() // two imports of one blob would be in each other's way
	defer d.importing.Unlock()
	importer := images.Importer{Layout: layout, Client: d.runtime.Client(), CRI: d.runtime.Images(), Log: d.options.Log}
	return importer.Import(inNamespace(ctx))
}
