// Package durability tries to make the cluster's etcd lose a write that it has
// acknowledged. It runs the real launcher and the real etcd on a share with
// SMB's rules, writes all the time, and does to them what clouds do: kills,
// power cuts, freezes with a take-over in between, two starts at once, a share
// that fails or is full. What was acknowledged is kept outside, and compared
// with what is there in the end. It exists because durability is what cannot be
// seen: the controls, in which a rule is broken on purpose, must lose something.
//
// All of it is in tests.
package durability
