package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"frankenetes.dev/embedded/limits"
	"frankenetes.dev/embedded/store"
)

const (
	// limitsPath is where the daemon is told its limits.
	limitsPath = "/limits"
	// limitsKey is that of the record of the limits, as words, beside the settings.
	limitsKey = "limits"
)

// changeLimits tells the daemon that runs to have other limits from now on.
func changeLimits(ctx context.Context, o Options) error {
	query := url.Values{"limit": o.Limits.Words()}
	answer, err := askDaemon(ctx, o, http.MethodPut, limitsPath+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("change the limits of the running cloud: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("change the limits of the running cloud: %w", refused(answer))
	}
	return nil
}

// answerLimits adds what the daemon does when it is told its limits.
func (d *daemon) answerLimits(mux *http.ServeMux) {
	mux.HandleFunc("PUT "+limitsPath, func(w http.ResponseWriter, r *http.Request) {
		l, err := limits.Parse(r.URL.Query()["limit"])
		if err == nil {
			err = d.keepLimits(l)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// keepLimits sets the limits, for the next daemons too.
func (d *daemon) keepLimits(l limits.Limits) error {
	if err := d.store.Put(settingsKind, limitsKey, l.Words()); err != nil {
		return err
	}
	d.groups.SetLimits(l)
	d.options.Log.Info("limits are set", "limits", l.Words())
	return nil
}

// startLimits sets the limits that the options name, or else the last ones.
func (d *daemon) startLimits() error {
	if d.options.Limits != nil {
		return d.keepLimits(*d.options.Limits)
	}
	var words []string
	if err := d.store.Get(settingsKind, limitsKey, &words); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	l, err := limits.Parse(words)
	if err != nil {
		return fmt.Errorf("read the limits of the last time: %w", err)
	}
	d.groups.SetLimits(l)
	return nil
}
