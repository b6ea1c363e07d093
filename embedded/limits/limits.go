// Package limits is what Azure allows a subscription: how many container
// groups and cores, and how often groups are created and deleted. It exists so
// that a client can be tested against limits that it would otherwise meet for
// the first time on Azure. Without any nothing is limited.
package limits

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits are what a cloud allows. Zero means without limit.
type Limits struct {
	// Groups is how many container groups there may be.
	Groups int
	// Cores is how many cores the groups that are deployed may ask for
	// together: the quota of the subscription.
	Cores float64
	// Capacity is how many cores the location has, whatever the quota.
	Capacity float64
	// Creates and Deletes are how often groups may be deployed by PUT, and
	// deleted. Every rate must be kept.
	Creates, Deletes []Rate
}

// Rate is a number of requests in any span of time of a length.
type Rate struct {
	Count int
	Per   time.Duration
}

// None is the word for no limits.
const None = "none"

// Azure returns the limits of a new subscription, as documented for ACI
// (container-instances-resource-and-quota-limits, 2025-11-17).
func Azure() Limits {
	rates := []Rate{{100, 5 * time.Minute}, {300, time.Hour}}
	return Limits{Groups: 100, Cores: 100, Creates: rates, Deletes: slices.Clone(rates)}
}

// Parse reads limits as people write them, one in each word: groups=100,
// cores=100, capacity=8, creates=100/5m,300/1h, deletes=10/1m. The word azure
// stands for all that Azure has, which others may change, and none for none.
func Parse(words []string) (Limits, error) {
	var l Limits
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case None:
			l = Limits{}
		case "azure":
			l = Azure()
		case "groups":
			l.Groups, err = positive(value, strconv.Atoi)
		case "cores":
			l.Cores, err = positive(value, float)
		case "capacity":
			l.Capacity, err = positive(value, float)
		case "creates":
			l.Creates, err = rates(value)
		case "deletes":
			l.Deletes, err = rates(value)
		default:
			err = fmt.Errorf("there is no limit of that name")
		}
		if err != nil {
			return Limits{}, fmt.Errorf("limit %q: %w", word, err)
		}
	}
	return l, nil
}

func float(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

func positive[T int | float64](text string, parse func(string) (T, error)) (T, error) {
	n, err := parse(text)
	if err != nil || !(n > 0 && n <= 1e9) {
		return 0, fmt.Errorf("%q is not a number greater than zero", text)
	}
	return n, nil
}

func rates(text string) ([]Rate, error) {
	var all []Rate
	for _, word := range strings.Split(text, ",") {
		count, per, _ := strings.Cut(word, "/")
		n, err := positive(count, strconv.Atoi)
		if err != nil {
			return nil, err
		}
		span, err := time.ParseDuration(per)
		if err != nil || span < time.Second {
			return nil, fmt.Errorf("%q is not a span of time of a second or more, such as 5m", per)
		}
		all = append(all, Rate{n, span})
	}
	return all, nil
}

// Words are the limits as Parse reads them; there are none of no limits.
func (l Limits) Words() []string {
	words := []string{} // none is a list too
	add := func(name string, value string, is bool) {
		if is {
			words = append(words, name+"="+value)
		}
	}
	add("groups", strconv.Itoa(l.Groups), l.Groups > 0)
	add("cores", number(l.Cores), l.Cores > 0)
	add("capacity", number(l.Capacity), l.Capacity > 0)
	add("creates", join(l.Creates), len(l.Creates) > 0)
	add("deletes", join(l.Deletes), len(l.Deletes) > 0)
	return words
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func join(rates []Rate) string {
	var words []string
	for _, r := range rates {
		words = append(words, fmt.Sprintf("%d/%s", r.Count, span(r.Per)))
	}
	return strings.Join(words, ",")
}

// span writes a span of time as people do: 5m, where Go has 5m0s.
func span(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
