package network

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The parts that rules are made of. nftables works on registers: a part loads
// one and compares it, or acts on what another has loaded. Register 8 is the
// first of four bytes; 1 is the first of sixteen, which begins at the same place.
const (
	register16 = 1
	register4  = 8
)

// rule adds a rule made of parts, each a match or a verdict.
func rule(c *nftables.Conn, chain *nftables.Chain, parts ...[]expr.Any) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: all})
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() []expr.Any   { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register16, Data: data}
}

func unequal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: register16, Data: data}
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: register16} }

// The interface that a packet comes in or goes out by. A name that is not
// padded matches every interface whose name starts so.
func in(name []byte) []expr.Any      { return []expr.Any{meta(expr.MetaKeyIIFNAME), equal(name)} }
func out(name []byte) []expr.Any     { return []expr.Any{meta(expr.MetaKeyOIFNAME), equal(name)} }
func elseIn(name []byte) []expr.Any  { return []expr.Any{meta(expr.MetaKeyIIFNAME), unequal(name)} }
func elseOut(name []byte) []expr.Any { return []expr.Any{meta(expr.MetaKeyOIFNAME), unequal(name)} }

// padded is an interface's whole name as the kernel compares it.
func padded(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func ipv4() []expr.Any {
	return []expr.Any{meta(expr.MetaKeyNFPROTO), equal([]byte{unix.NFPROTO_IPV4})}
}

func notIPv4() []expr.Any {
	return []expr.Any{meta(expr.MetaKeyNFPROTO), unequal([]byte{unix.NFPROTO_IPV4})}
}

// The places of a packet's fields.
const (
	sourceAt, destinationAt = 12, 16 // in an IPv4 header
	portAt                  = 2      // the destination's, of TCP and UDP
)

func field(base expr.PayloadBase, at, length, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: base, Offset: at, Len: length}
}

func address(at uint32) expr.Any {
	return field(expr.PayloadBaseNetworkHeader, at, 4, register16)
}

func destination(a []byte) []expr.Any { return []expr.Any{address(destinationAt), equal(a)} }

func source(a netip.Addr) []expr.Any { return []expr.Any{address(sourceAt), equal(a.AsSlice())} }

// sourceOf matches sources that are in a set.
func sourceOf(set *nftables.Set) []expr.Any {
	return []expr.Any{address(sourceAt), &expr.Lookup{SourceRegister: register16, SetName: set.Name, SetID: set.ID}}
}

// sourceIn matches sources of a range, sourceBeyond all others.
func sourceIn(network, mask []byte) []expr.Any {
	return []expr.Any{address(sourceAt), masked(mask), equal(network)}
}

func sourceBeyond(network, mask []byte) []expr.Any {
	return []expr.Any{address(sourceAt), masked(mask), unequal(network)}
}

func masked(mask []byte) expr.Any {
	return &expr.Bitwise{SourceRegister: register16, DestRegister: register16, Len: 4, Mask: mask, Xor: make([]byte, 4)}
}

func protocol(number byte) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyL4PROTO), equal([]byte{number})}
}

func port(number uint16) []expr.Any {
	return []expr.Any{field(expr.PayloadBaseTransportHeader, portAt, 2, register16), equal(binaryutil.BigEndian.PutUint16(number))}
}

// established matches answers.
func established() []expr.Any {
	mask := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register16},
		masked(mask),
		unequal(make([]byte, 4)),
	}
}

// fromSource matches a packet that comes from the interface and address of a
// group: both are in the set, together.
func fromSource(set *nftables.Set) []expr.Any {
	return []expr.Any{
		meta(expr.MetaKeyIIFNAME), // sixteen bytes, and four after them
		field(expr.PayloadBaseNetworkHeader, sourceAt, 4, register4+4),
		&expr.Lookup{SourceRegister: register16, SetName: set.Name, SetID: set.ID},
	}
}

// toOpen matches a packet to an address, protocol and port that is in the set.
func toOpen(set *nftables.Set) []expr.Any {
	return []expr.Any{
		field(expr.PayloadBaseNetworkHeader, destinationAt, 4, register4),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register4 + 1},
		field(expr.PayloadBaseTransportHeader, portAt, 2, register4+2),
		&expr.Lookup{SourceRegister: register4, SetName: set.Name, SetID: set.ID},
	}
}
