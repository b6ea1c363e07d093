package storage

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// lease keeps a file or a share for who knows its id. That of a file is asked
// for by the data plane alone: a container that has the share mounted writes
// past it, which on Azure it could not.
type lease struct {
	// ID is empty where there never was a lease, or it was released.
	ID string `json:"id,omitempty"`
	// Seconds is how long it lasts from its last renewal; -1 without end.
	Seconds int `json:"seconds,omitempty"`
	// Ends is when it ends or, once broken, when its last period does.
	Ends   time.Time `json:"ends,omitzero"`
	Broken bool      `json:"broken,omitempty"`
}

// state is available, leased, expired, breaking or broken.
func (l lease) state(now time.Time) string {
	over := !l.Ends.IsZero() && !now.Before(l.Ends)
	switch {
	case l.ID == "":
		return "available"
	case l.Broken && (over || l.Ends.IsZero()):
		return "broken"
	case l.Broken:
		return "breaking"
	case over:
		return "expired"
	}
	return "leased"
}

func (l lease) active(now time.Time) bool {
	state := l.state(now)
	return state == "leased" || state == "breaking"
}

// status is locked or unlocked, duration infinite or fixed.
func (l lease) status(now time.Time) string {
	if l.active(now) {
		return "locked"
	}
	return "unlocked"
}

func (l lease) duration() string {
	if l.Seconds < 0 {
		return "infinite"
	}
	return "fixed"
}

func (l lease) show(h http.Header) {
	now := time.Now()
	h.Set("x-ms-lease-state", l.state(now))
	h.Set("x-ms-lease-status", l.status(now))
	if l.state(now) == "leased" {
		h.Set("x-ms-lease-duration", l.duration())
	}
}

// check refuses a request that names another lease than the one there is, and
// one that must name it and does not.
func (l lease) check(h http.Header, must bool) error {
	id, active := h.Get("x-ms-lease-id"), l.active(time.Now())
	switch {
	case id == "" && must && active:
		return &filesError{http.StatusPreconditionFailed, "LeaseIdMissing", "There is currently a lease on the resource and no lease ID was specified in the request."}
	case id == "":
		return nil
	case !active:
		return &filesError{http.StatusPreconditionFailed, "LeaseNotPresentWithFileOperation", "There is currently no lease on the resource."}
	case !strings.EqualFold(id, l.ID):
		return &filesError{http.StatusPreconditionFailed, "LeaseIdMismatchWithFileOperation", "The lease ID specified did not match the lease ID for the resource."}
	}
	return nil
}

func leaseConflict(code, message string) error {
	return &filesError{http.StatusConflict, code, message}
}

// act does what a lease request asks for and returns the status of its answer
// and, for a break, the seconds that the lease still lasts.
func (l *lease) act(h http.Header, isShare bool, now time.Time) (status int, left time.Duration, err error) {
	action := strings.ToLower(h.Get("x-ms-lease-action"))
	switch action {
	case "acquire":
		return http.StatusCreated, 0, l.acquire(h, isShare, now)
	case "break":
		left, err := l.end(h, now)
		return http.StatusAccepted, left, err
	case "renew", "release", "change":
	default:
		return 0, 0, invalidHeader("x-ms-lease-action")
	}
	switch {
	case l.ID == "":
		return 0, 0, leaseConflict("LeaseNotPresentWithLeaseOperation", "There is currently no lease on the resource.")
	case !strings.EqualFold(l.ID, h.Get("x-ms-lease-id")) && (action != "change" || !l.proposed(h)):
		return 0, 0, leaseConflict("LeaseIdMismatchWithLeaseOperation", "The lease ID specified did not match the lease ID for the resource.")
	case action == "release":
		*l = lease{}
	case l.Broken:
		return 0, 0, leaseConflict("LeaseIsBrokenAndCannotBeRenewed", "The lease ID matched, but the lease has been broken explicitly.")
	case action == "renew" && !isShare:
		return 0, 0, invalidHeader("x-ms-lease-action") // those of files last without end
	case action == "renew":
		l.start(now)
	default:
		id := h.Get("x-ms-proposed-lease-id")
		if uuid.Validate(id) != nil {
			return 0, 0, invalidHeader("x-ms-proposed-lease-id")
		}
		l.ID = id
	}
	return http.StatusOK, 0, nil
}

func (l *lease) proposed(h http.Header) bool {
	return strings.EqualFold(l.ID, h.Get("x-ms-proposed-lease-id"))
}

// start begins a period anew.
func (l *lease) start(now time.Time) {
	l.Ends = time.Time{}
	if l.Seconds > 0 {
		l.Ends = now.Add(time.Duration(l.Seconds) * time.Second).UTC()
	}
}

func (l *lease) acquire(h http.Header, isShare bool, now time.Time) error {
	seconds, err := strconv.Atoi(h.Get("x-ms-lease-duration"))
	if err != nil || seconds != -1 && (!isShare || seconds < 15 || seconds > 60) {
		return invalidHeader("x-ms-lease-duration")
	}
	id := h.Get("x-ms-proposed-lease-id")
	if id == "" {
		id = uuid.NewString()
	}
	if uuid.Validate(id) != nil {
		return invalidHeader("x-ms-proposed-lease-id")
	}
	if l.active(now) && (l.Broken || !strings.EqualFold(id, l.ID)) {
		return leaseConflict("LeaseAlreadyPresent", "There is already a lease present.")
	}
	*l = lease{ID: id, Seconds: seconds}
	l.start(now)
	return nil
}

// end breaks the lease after the period that the request asks for, at most
// what is left of it: at once for one without end.
func (l *lease) end(h http.Header, now time.Time) (time.Duration, error) {
	if l.ID == "" {
		return 0, leaseConflict("LeaseNotPresentWithLeaseOperation", "There is currently no lease on the resource.")
	}
	left := max(l.Ends.Sub(now), 0)
	if l.Ends.IsZero() {
		left = 0
	}
	if text := h.Get("x-ms-lease-break-period"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 60 {
			return 0, invalidHeader("x-ms-lease-break-period")
		}
		asked := time.Duration(n) * time.Second
		if left > asked || l.Ends.IsZero() && !l.Broken {
			left = asked
		}
	}
	l.Broken, l.Ends = true, now.Add(left).UTC()
	return left, nil
}

// answerLease tells what became of a lease.
func answerLease(h http.Header, l lease, status int, left time.Duration) {
	if l.ID != "" && status != http.StatusAccepted {
		h.Set("x-ms-lease-id", l.ID)
	}
	if status == http.StatusAccepted {
		h.Set("x-ms-lease-time", strconv.Itoa(int(left.Round(time.Second)/time.Second)))
	}
}

// leaseFile answers a lease request about a file.
func (f *filesRequest) leaseFile(e *entry) error {
	var status int
	var left time.Duration
	err := f.amend(e, func(a *attributes) (err error) {
		status, left, err = a.Lease.act(f.Header, false, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	f.entryHeaders(e)
	answerLease(f.w.Header(), e.Lease, status, left)
	f.w.WriteHeader(status)
	return nil
}

// leaseShare answers a lease request about a share.
func (f *filesRequest) leaseShare() error {
	var status int
	var left time.Duration
	sh, err := f.amendShare(func(sh *share) (err error) {
		status, left, err = sh.Lease.act(f.Header, true, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	f.shareHeaders(sh)
	answerLease(f.w.Header(), sh.Lease, status, left)
	f.w.WriteHeader(status)
	return nil
}
