package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"frankenetes.dev/embedded/images"
)

const (
	// imagesPath is where the daemon is asked for its images, and to take
	// those of a layout; loadPath is where it takes an archive.
	imagesPath = "/images"
	loadPath   = "/images/load"
	// maxWords is how much of a refusal is read, in bytes.
	maxWords = 4 << 10
)

// Image is an image of the cloud's store.
type Image = images.Image

// The refusals of the image store, for callers to tell apart.
var (
	ErrImageNotFound = images.ErrNotFound
	ErrImageBuiltIn  = images.ErrBuiltIn
	ErrImageInUse    = images.ErrInUse
	ErrBadArchive    = images.ErrBadArchive
	ErrImageNoName   = images.ErrNoName
)

// errOtherVersion is returned when the daemon does not know a question.
var errOtherVersion = errors.New("the running cloud is of another version of frankenetes; `frankenetes cloud stop` ends it")

// refusals are the statuses by which the errors of the image store travel.
var refusals = map[int]error{
	http.StatusGone:                 images.ErrNotFound,
	http.StatusForbidden:            images.ErrBuiltIn,
	http.StatusConflict:             images.ErrInUse,
	http.StatusUnsupportedMediaType: images.ErrBadArchive,
	http.StatusUnprocessableEntity:  images.ErrNoName,
}

// imageStore is what the daemon's socket offers of its images.
type imageStore interface {
	Import(ctx context.Context, layout string) error
	Load(ctx context.Context, archive io.Reader, name string) ([]Image, error)
	List(ctx context.Context) ([]Image, error)
	Remove(ctx context.Context, name string, users map[string][]string, force bool) (string, error)
}

func (d *daemon) answerImages(mux *http.ServeMux) { serveImages(mux, d.images, d.groups.Images) }

// serveImages answers questions about images on the daemon's socket. users
// tells which groups use each.
func serveImages(mux *http.ServeMux, store imageStore, users func() map[string][]string) {
	mux.HandleFunc("GET "+imagesPath, func(w http.ResponseWriter, r *http.Request) {
		list, err := store.List(inNamespace(r.Context()))
		reply(w, list, err)
	})
	mux.HandleFunc("POST "+loadPath, func(w http.ResponseWriter, r *http.Request) {
		list, err := store.Load(inNamespace(r.Context()), r.Body, r.URL.Query().Get("name"))
		_, _ = io.Copy(io.Discard, r.Body) // who still sends would not read the answer
		reply(w, list, err)
	})
	mux.HandleFunc("DELETE "+imagesPath, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		name, err := store.Remove(inNamespace(r.Context()), query.Get("name"), users(), query.Has("force"))
		reply(w, name, err)
	})
	mux.HandleFunc("POST "+imagesPath, func(w http.ResponseWriter, r *http.Request) {
		if err := store.Import(inNamespace(r.Context()), r.URL.Query().Get("layout")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func reply(w http.ResponseWriter, result any, err error) {
	if err != nil {
		status := http.StatusInternalServerError
		for code, kind := range refusals {
			if errors.Is(err, kind) {
				status = code
			}
		}
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(result)
}

// LoadImages gives the running cloud the images of an archive, as docker-save
// or OCI layout, which may be compressed. An archive's only image is called
// name if that is not empty.
func LoadImages(ctx context.Context, o Options, archive io.Reader, name string) ([]Image, error) {
	var list []Image
	err := askImages(ctx, o, http.MethodPost, loadPath+"?name="+url.QueryEscape(name), archive, &list)
	return list, err
}

// ListImages returns the images of the running cloud.
func ListImages(ctx context.Context, o Options) ([]Image, error) {
	var list []Image
	err := askImages(ctx, o, http.MethodGet, imagesPath, nil, &list)
	return list, err
}

// RemoveImage removes an image of the running cloud and returns its full name.
// force removes one that a group uses.
func RemoveImage(ctx context.Context, o Options, name string, force bool) (string, error) {
	path := imagesPath + "?name=" + url.QueryEscape(name)
	if force {
		path += "&force"
	}
	var removed string
	err := askImages(ctx, o, http.MethodDelete, path, nil, &removed)
	return removed, err
}

// askImages asks a running daemon, whose answer is JSON.
func askImages(ctx context.Context, o Options, method, path string, body io.Reader, result any) error {
	if err := requireRoot(); err != nil {
		return err
	}
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if _, err := Stat(ctx, o); errors.Is(err, errStopping) {
		return ErrNotRunning
	} else if err != nil {
		return err
	}
	answer, err := askDaemon(ctx, o, method, path, body)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		// One that knows only how to tell its status answers everything with it.
		if err := json.NewDecoder(answer.Body).Decode(result); err != nil {
			return errOtherVersion
		}
		return nil
	}
	return refused(answer)
}

// refused is what a daemon says that did not do what it was asked to.
func refused(answer *http.Response) error {
	switch answer.StatusCode {
	case http.StatusServiceUnavailable:
		return errStopping
	case http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed:
		return errOtherVersion // one that does not know what was asked
	}
	words, _ := io.ReadAll(io.LimitReader(answer.Body, maxWords)) // what came of them
	text := string(bytes.TrimSpace(words))
	if kind := refusals[answer.StatusCode]; kind != nil {
		return reported{text, kind}
	}
	return errors.New(text)
}
