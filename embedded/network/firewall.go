package network

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// firewallUp writes the cloud's table anew, in one transaction:
//
//   - what a group sends to a service arrives at the port where that listens;
//   - what it sends beyond the bridge leaves with the host's address;
//   - of the host itself it reaches the cloud's own services and nothing else;
//   - nobody beyond the bridge but the host reaches a group: neither another
//     network that the host is in, nor the groups of another cloud.
func firewallUp(o Options) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: o.table()}
	// Adding before deleting makes the deletion valid whether or not it exists.
	c.AddTable(table)
	c.DelTable(table)
	c.AddTable(table)
	redirect(c, table, o)
	masquerade(c, table, o)
	guardHost(c, table, o)
	guardGroups(c, table, o)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write nftables table %s: %w", o.table(), err)
	}
	return nil
}

func firewallDown(o Options) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: o.table()})
	if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove nftables table %s: %w", o.table(), err)
	}
	return nil
}

// redirect sends what is meant for a service to where it listens.
func redirect(c *nftables.Conn, table *nftables.Table, o Options) {
	chain := c.AddChain(&nftables.Chain{Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest})
	for _, s := range o.Services {
		to := o.Gateway()
		if s.Address.IsValid() {
			to = s.Address
		} else if s.Port == s.Listens {
			continue
		}
		rule(c, chain, from(o.Bridge()), ipv4(), destination(to.AsSlice()), protocol(s.protocol()), port(s.Port), []expr.Any{
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(s.Listens)},
			&expr.Redir{RegisterProtoMin: 1},
		})
	}
}

func (s Service) protocol() byte {
	if s.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

func masquerade(c *nftables.Conn, table *nftables.Table, o Options) {
	chain := c.AddChain(&nftables.Chain{Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	mask := binaryutil.BigEndian.PutUint32(^uint32(0) << (32 - o.Subnet.Bits()))
	rule(c, chain, ipv4(), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}, // source address
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: o.Subnet.Masked().Addr().AsSlice()},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(o.Bridge())},
		&expr.Masq{},
	})
}

func guardHost(c *nftables.Conn, table *nftables.Table, o Options) {
	chain := c.AddChain(&nftables.Chain{Name: "input", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
	accept := []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	rule(c, chain, from(o.Bridge()), established(), accept)
	rule(c, chain, from(o.Bridge()), ipv4(), protocol(unix.IPPROTO_ICMP), accept)
	gateway := destination(o.Gateway().AsSlice())
	for _, s := range o.Services {
		rule(c, chain, from(o.Bridge()), ipv4(), gateway, protocol(s.protocol()), port(s.Listens), accept)
	}
	rule(c, chain, from(o.Bridge()), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
}

// guardGroups drops what would be passed on to the bridge, answers left out.
// What the host itself sends is not passed on.
func guardGroups(c *nftables.Conn, table *nftables.Table, o Options) {
	chain := c.AddChain(&nftables.Chain{Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	towards := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(o.Bridge())},
	}
	elsewhere := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(o.Bridge())},
	}
	rule(c, chain, towards, established(), []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}})
	rule(c, chain, towards, elsewhere, []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})
}

// rule adds a rule made of parts, each a match or a verdict.
func rule(c *nftables.Conn, chain *nftables.Chain, parts ...[]expr.Any) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: all})
}

// from matches what arrives on an interface.
func from(name string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(name)},
	}
}

func ipv4() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.NFPROTO_IPV4}},
	}
}

func destination(addr []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr},
	}
}

func protocol(number byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

// port matches the destination port of TCP and UDP.
func port(number uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
	}
}

// established matches answers to connections that the host opened.
func established() []expr.Any {
	mask := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// ifname is an interface's name as the kernel compares it: padded with zeros.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}
