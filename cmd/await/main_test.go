package main

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestItGoesOnWhenTheServerIsThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	done := make(chan bool)
	go func() { done <- await(address, time.Minute, nil) }()
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !<-done {
		t.Error("it was told to end")
	}
}

func TestASignalEndsItAndTimeDoesNot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	end := make(chan os.Signal, 1)
	end <- syscall.SIGTERM
	if await(l.Addr().String(), time.Minute, end) {
		t.Error("it went on after a signal")
	}
	if !await(l.Addr().String(), time.Millisecond, nil) {
		t.Error("it gave up instead of letting the program say what is wrong")
	}
}
