// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenTakesBothFamiliesAndStandsForOthers(t *testing.T) {
	l, err := Listen(t.Context(), 0)
	if errors.Is(err, unix.EPERM) {
		t.Skip("IP_TRANSPARENT needs CAP_NET_ADMIN")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		if v, err := unix.GetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT); err != nil || v != 1 {
			t.Errorf("IP_TRANSPARENT is %d, %v", v, err)
		}
	})
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			if host == "::1" && errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Log("this host has no IPv6")
				continue
			}
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := addrPort(s.LocalAddr()).Addr().String(); got != host {
			t.Errorf("local address %s, want %s", got, host)
		}
		_ = s.Close()
		_ = c.Close()
	}
}

func TestListenSaysThatThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(t.Context(), uint16(l.Addr().(*net.TCPAddr).Port))
	if !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v", err)
	}
}
