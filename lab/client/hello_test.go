// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/tlshello"
)

func TestWithExtension(t *testing.T) {
	hello, err := Hello(TLS{Classical: true, ALPN: []string{"nonce"}}, "a.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		typ  uint16
		data []byte
		want string
		ech  bool
	}{
		{"a name is replaced", ExtServerName, ServerNameData([]byte("another.example")), "another.example", false},
		{"an extension is added", ExtEncryptedHello, []byte{0, 0, 1, 0, 1, 7, 0, 1, 9, 0, 1, 5}, "a.example", true},
	} {
		got, err := WithExtension(hello, tt.typ, tt.data)
		if err != nil {
			t.Fatal(err)
		}
		h, more, reason := tlshello.Read(got, make([]byte, tlshello.MaxBytes))
		if more || reason != flow.NotDecided || string(h.Name) != tt.want || h.ECH != tt.ech || h.Len != len(got) || string(h.ALPN) != "\x05nonce" {
			t.Errorf("%s: got %+v, more=%t, %v", tt.name, h, more, reason)
		}
	}
	for _, bad := range [][]byte{nil, hello[:40], hello[:len(hello)-1], append([]byte{23}, hello[1:]...)} {
		if _, err := WithExtension(bad, ExtServerName, nil); err == nil {
			t.Errorf("%d bytes: got no error", len(bad))
		}
	}
}

func TestInRecords(t *testing.T) {
	hello, err := Hello(TLS{Classical: true}, "a.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		ends []int
		want flow.Reason
	}{
		{"as it was", nil, flow.NotDecided},
		{"three records", []int{2, 50}, flow.NotDecided},
		{"an empty one", []int{60, 60}, flow.MalformedHello},
	} {
		got := InRecords(hello, tt.ends...)
		if len(tt.ends) == 0 && !bytes.Equal(got, hello) {
			t.Errorf("%s: got %x, want %x", tt.name, got, hello)
		}
		if _, more, reason := tlshello.Read(got, make([]byte, tlshello.MaxBytes)); more || reason != tt.want {
			t.Errorf("%s: got more=%t %v, want %v", tt.name, more, reason, tt.want)
		}
	}
}

func TestSegmentsArePackets(t *testing.T) {
	s := Segment{
		From: netip.MustParseAddrPort("10.240.0.4:4711"), To: netip.MustParseAddrPort("13.107.42.16:443"),
		Seq: 7, Flags: PSH | ACK, Data: []byte("some payload that needs three fragments"),
	}
	for _, size := range []int{0, 24} {
		s.Fragment = size
		var tcp []byte
		for i, p := range s.packets() {
			if p[0] != 0x45 || p[9] != unix.IPPROTO_TCP || int(p[6]&0x1f)<<8|int(p[7]) != i*size/8 {
				t.Errorf("fragments of %d, number %d: header %x", size, i, p[:20])
			}
			tcp = append(tcp, p[20:]...)
		}
		// With its own checksum in it, the sum of a segment is nothing.
		if len(tcp) != 20+len(s.Data) || checksum(unix.IPPROTO_TCP, s.From.Addr(), s.To.Addr(), tcp) != 0 {
			t.Errorf("fragments of %d: got %x", size, tcp)
		}
	}
	s.BadChecksum, s.Fragment = true, 0
	if p := s.packets()[0]; checksum(unix.IPPROTO_TCP, s.From.Addr(), s.To.Addr(), p[20:]) == 0 {
		t.Error("the bad checksum is right")
	}
}
