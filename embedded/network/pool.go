package network

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// ErrNoAddress is returned when every address of a range is taken.
var ErrNoAddress = errors.New("no free address")

// pool gives out the addresses of a range. It goes round: an address that was
// given back is not given to someone else until all others were, since others
// may not have heard yet that its owner is gone.
type pool struct {
	prefix netip.Prefix
	taken  map[netip.Addr]bool
	// first is the lowest number given out, next where to look first.
	first, next int
}

// newPool gives out all of a range but its first addresses and its last one.
func newPool(p netip.Prefix, reserved int) *pool {
	return &pool{prefix: p.Masked(), taken: map[netip.Addr]bool{}, first: reserved, next: reserved}
}

// end is the number of the range's last address, which is not given out.
func (p *pool) end() int { return 1<<(32-p.prefix.Bits()) - 1 }

// size is how many addresses there are to give.
func (p *pool) size() int { return max(0, p.end()-p.first) }

// take returns the wanted address if it is of this range and free, or else
// any that is free.
func (p *pool) take(wanted netip.Addr) (netip.Addr, error) {
	if p.gives(wanted) && !p.taken[wanted] {
		p.taken[wanted] = true
		return wanted, nil
	}
	for range p.size() {
		if p.next < p.first || p.next >= p.end() {
			p.next = p.first
		}
		a := addrAt(p.prefix, p.next)
		p.next++
		if !p.taken[a] {
			p.taken[a] = true
			return a, nil
		}
	}
	return netip.Addr{}, ErrNoAddress
}

func (p *pool) giveBack(a netip.Addr) { delete(p.taken, a) }

// gives reports whether the address is one to give out.
func (p *pool) gives(a netip.Addr) bool {
	if !a.Is4() || !p.prefix.Contains(a) {
		return false
	}
	number := numberOf(p.prefix, a)
	return number >= p.first && number < p.end()
}

// addrAt returns the address with a number in a range, or beyond it.
func addrAt(p netip.Prefix, number int) netip.Addr {
	b := p.Masked().Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(number))
	return netip.AddrFrom4(b)
}

// numberOf is the reverse of addrAt.
func numberOf(p netip.Prefix, a netip.Addr) int {
	first, addr := p.Masked().Addr().As4(), a.As4()
	return int(binary.BigEndian.Uint32(addr[:]) - binary.BigEndian.Uint32(first[:]))
}
