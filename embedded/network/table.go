package network

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// table is an nftables table whose rules are written once, and whose sets
// follow what groups there are. It remembers what is in each set, since to
// remove what is not there fails the whole transaction.
type table struct {
	name  string
	netns int // a descriptor of the network namespace, 0 for the host's

	mu   sync.Mutex
	sets map[string]*nftables.Set
	has  map[string]elements
}

// elements are the keys of a set, with the values of a map.
type elements map[string]string

func (t *table) open() (*nftables.Conn, error) {
	c, err := nftables.New(nftables.WithNetNSFd(t.netns))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return c, nil
}

// write makes the table anew, with the sets and with the rules that rules
// adds, in one transaction. Sets keep the elements that they have.
func (t *table) write(sets []*nftables.Set, rules func(*nftables.Conn, *nftables.Table)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.open()
	if err != nil {
		return err
	}
	nt := &nftables.Table{Family: nftables.TableFamilyINet, Name: t.name}
	t.sets, t.has = map[string]*nftables.Set{}, map[string]elements{}
	for _, s := range sets {
		s.Table = nt
		if t.has[s.Name], err = kept(c, s); err != nil {
			return fmt.Errorf("read nftables set %s of %s: %w", s.Name, t.name, err)
		}
		t.sets[s.Name] = s
	}
	// Adding before deleting makes the deletion valid whether or not it exists.
	c.AddTable(nt)
	c.DelTable(nt)
	c.AddTable(nt)
	for _, s := range sets {
		if err := c.AddSet(s, encode(t.has[s.Name])); err != nil {
			return fmt.Errorf("make nftables set %s of %s: %w", s.Name, t.name, err)
		}
	}
	rules(c, nt)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w", t.name, err)
	}
	return nil
}

// kept returns what a set has; one that is not there has nothing.
func kept(c *nftables.Conn, s *nftables.Set) (elements, error) {
	has := elements{}
	if _, err := c.GetSetByName(s.Table, s.Name); err != nil {
		if errors.Is(err, unix.ENOENT) {
			err = nil
		}
		return has, err
	}
	list, err := c.GetSetElements(s)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		has[string(e.Key)] = string(e.Val)
	}
	return has, nil
}

func encode(of elements) []nftables.SetElement {
	var list []nftables.SetElement
	for key, value := range of {
		e := nftables.SetElement{Key: []byte(key)}
		if value != "" {
			e.Val = []byte(value)
		}
		list = append(list, e)
	}
	return list
}

// apply makes the sets hold what is wanted, in one transaction, and nothing
// else unless keep is true.
func (t *table) apply(want map[string]elements, keep bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.open()
	if err != nil {
		return err
	}
	next, changed := map[string]elements{}, false
	for name, set := range t.sets {
		gone, come, all := difference(t.has[name], want[name], keep)
		next[name] = all
		if len(gone) > 0 {
			err = errors.Join(err, c.SetDeleteElements(set, encode(gone)))
		}
		if len(come) > 0 {
			err = errors.Join(err, c.SetAddElements(set, encode(come)))
		}
		changed = changed || len(gone)+len(come) > 0
	}
	if err == nil && changed {
		err = c.Flush()
	}
	if err != nil {
		return fmt.Errorf("change nftables table %s: %w", t.name, err)
	}
	t.has = next
	return nil
}

// difference returns what of has must go, what of want must come, and what
// there is then.
func difference(has, want elements, keep bool) (gone, come, all elements) {
	gone, come, all = elements{}, elements{}, elements{}
	for key, value := range has {
		wanted, ok := want[key]
		if ok && wanted == value || !ok && keep {
			all[key] = value
		} else {
			gone[key] = value
		}
	}
	for key, value := range want {
		if _, there := all[key]; !there {
			come[key] = value
		}
		all[key] = value
	}
	return gone, come, all
}

// removeTable removes a table of the host's, if it is there.
func removeTable(name string) error {
	c, err := (&table{}).open()
	if err != nil {
		return err
	}
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: name})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove nftables table %s: %w", name, err)
	}
	return nil
}
