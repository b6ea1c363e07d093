package groups

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/limits"
)

// ledger keeps the books of what the groups take of the limits. What asks for
// something and what is asked for are compared and booked in one step, so that
// many requests at once do not pass together what each of them may pass alone.
type ledger struct {
	location string
	now      func() time.Time

	mu     sync.Mutex
	limits limits.Limits
	// cores has an entry for every group, by key: what it has of the cores,
	// which is nothing while it is stopped or when it has ended.
	cores            map[string]float64
	creates, deletes limits.Window
}

func newLedger(location string) *ledger {
	return &ledger{location: location, now: time.Now, cores: map[string]float64{}}
}

// create books a deployment that a PUT asks for, or says why there cannot be
// one. What is refused counts for nothing.
func (l *ledger) create(key string, g *Group) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if wait := l.creates.Wait(l.limits.Creates, now); wait > 0 {
		return tooMany("create", wait)
	}
	if err := l.book(key, g); err != nil {
		return err
	}
	l.creates.Note(l.limits.Creates, now)
	return nil
}

// start books the cores of a group that is deployed again as it is.
func (l *ledger) start(key string, g *Group) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book(key, g)
}

// book gives a group its cores. The caller holds the mutex.
func (l *ledger) book(key string, g *Group) error {
	cpu, memory := g.total()
	had, known := l.cores[key]
	used, wanted := l.used(), float64(cpu)
	most := l.limits
	switch {
	case !known && most.Groups > 0 && len(l.cores)+1 > most.Groups:
		return l.quota("ContainerGroups", float64(most.Groups), float64(len(l.cores)), 1)
	case most.Cores > 0 && over(used-had+wanted, most.Cores):
		return l.quota("StandardCores", most.Cores, used, wanted-had)
	case most.Capacity > 0 && over(used-had+wanted, most.Capacity):
		return arm.Conflict("ServiceUnavailable", "The requested resource is not available in the location '%s' at this moment. Please retry with a different resource request or in another location. "+
			"Resource requested: '%v' CPU '%v' GB memory '%s' OS", l.location, cpu, memory, linux)
	}
	l.cores[key] = wanted
	return nil
}

// over compares sums of cores, which are binary fractions.
func over(sum, most float64) bool { return decimal(sum).rounded() > decimal(most) }

func (l *ledger) used() float64 {
	var sum float64
	for _, cores := range l.cores {
		sum += cores
	}
	return sum
}

func (l *ledger) quota(name string, most, used, wanted float64) error {
	return arm.BadRequest("ContainerGroupQuotaReached", "Resource type '%s' container group quota '%s' exceeded in region '%s'. Limit: '%v', Usage: '%v' Requested: '%v'.",
		Type, name, l.location, most, decimal(used).rounded(), decimal(wanted).rounded())
}

// tooMany answers a request that comes too soon after others.
func tooMany(what string, wait time.Duration) error {
	wait = time.Duration(math.Ceil(wait.Seconds())) * time.Second
	return &arm.Error{Status: http.StatusTooManyRequests, Code: "TooManyRequests", RetryAfter: wait,
		Message: fmt.Sprintf("The rate limit of container group %s requests of the subscription is reached. Please retry after %d seconds.", what, int(wait.Seconds()))}
}

// delete lets a DELETE through, or not.
func (l *ledger) delete() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if wait := l.deletes.Wait(l.limits.Deletes, now); wait > 0 {
		return tooMany("delete", wait)
	}
	l.deletes.Note(l.limits.Deletes, now)
	return nil
}

// known opens the account of a group of an earlier daemon, whatever the limits say.
func (l *ledger) known(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cores[key] = 0
}

// deployed books the cores of a group that is deployed now.
func (l *ledger) deployed(key string, g *Group) {
	cpu, _ := g.total()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cores[key] = float64(cpu)
}

// idle gives back the cores of a group that does not run any more.
func (l *ledger) idle(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.cores[key]; known {
		l.cores[key] = 0
	}
}

// gone closes the account of a group.
func (l *ledger) gone(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.cores, key)
}

// usage returns how many groups there are, how many cores they have, and the limits.
func (l *ledger) usage() (groups int, cores float64, most limits.Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.cores), float64(decimal(l.used()).rounded()), l.limits
}

func (l *ledger) set(most limits.Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = most
}

// Limits returns what the subscription may have.
func (s *Service) Limits() limits.Limits {
	_, _, most := s.ledger.usage()
	return most
}

// SetLimits sets what the subscription may have from now on. What is there
// already stays.
func (s *Service) SetLimits(most limits.Limits) { s.ledger.set(most) }
