// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package tlshello

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/flow"
)

// read calls Read with fresh scratch space of the promised size.
func read(stream []byte) (Hello, bool, flow.Reason) {
	return Read(stream, make([]byte, MaxBytes))
}

// readEveryWay reads stream as it grows byte by byte and fails when an answer,
// once given, changes. It returns the answer and the length it was given at.
func readEveryWay(t *testing.T, stream []byte) (h Hello, at int, reason flow.Reason) {
	t.Helper()
	at = -1
	for n := range len(stream) + 1 {
		got, more, r := read(stream[:n])
		switch {
		case more && r != flow.NotDecided:
			t.Fatalf("after %d bytes: more and %v at once", n, r)
		case at < 0 && !more:
			h, at, reason = got, n, r
		case at >= 0 && (more || r != reason || !reflect.DeepEqual(got, h)):
			t.Fatalf("answer %+v %v, given after %d bytes, became %+v more=%t %v after %d", h, reason, at, got, more, r, n)
		}
	}
	return h, at, reason
}

func TestReadHellosOfGo(t *testing.T) {
	for _, c := range captures(t) {
		t.Run(c.about, func(t *testing.T) {
			h, at, reason := readEveryWay(t, append(slices.Clone(c.stream), "behind the hello"...))
			if reason != flow.NotDecided || at != len(c.stream) {
				t.Fatalf("got %v after %d bytes, want not-decided after %d", reason, at, len(c.stream))
			}
			if string(h.Name) != c.name {
				t.Errorf("name %q, want %q", h.Name, c.name)
			}
			if h.Len != len(c.stream) {
				t.Errorf("hello ends at %d, want %d", h.Len, len(c.stream))
			}
			if got := (traits{h.TLS13, h.ECH, h.Ticket, h.PSK, string(h.ALPN)}); got != c.traits {
				t.Errorf("traits %+v, want %+v", got, c.traits)
			}
			if h.Version != 0x0303 {
				t.Errorf("legacy version %#x", h.Version)
			}
		})
	}
}

// Splitting into records must not change what is read, nor a prefix be denied.
func TestReadDoesNotDependOnRecords(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range captures(t) {
		whole, _, reason := read(c.stream)
		msg := c.stream[recordHeader:]
		check := func(about string, cuts ...int) {
			t.Helper()
			stream := records(msg, cuts...)
			h, at, r := Hello{}, 0, flow.NotDecided
			if len(cuts) <= 2 && cuts[0]%97 != 0 { // every segmentation is slow; do it for some
				h, _, r = read(stream)
				at = len(stream)
				for n := range stream {
					if n < 40 || n > len(stream)-40 || n%61 == 0 {
						if _, more, r := read(stream[:n]); !more {
							t.Fatalf("%s, %s cut at %v: %v after %d of %d bytes", c.about, about, cuts, r, n, len(stream))
						}
					}
				}
			} else {
				h, at, r = readEveryWay(t, stream)
			}
			if at != len(stream) || r != reason || h.Len != len(stream) {
				t.Fatalf("%s, %s cut at %v: %v after %d of %d bytes", c.about, about, cuts, r, at, len(stream))
			}
			h.Len = whole.Len
			if !reflect.DeepEqual(h, whole) {
				t.Fatalf("%s, %s cut at %v: got %+v, want %+v", c.about, about, cuts, h, whole)
			}
		}
		for cut := 1; cut < len(msg); cut++ {
			check("two records", cut)
		}
		check("one byte each in front", 1, 2, 3, 4, 5, 6, 7)
		for range 10 {
			cuts := make([]int, 1+random.IntN(MaxRecords-1))
			for i := range cuts {
				cuts[i] = 1 + random.IntN(len(msg)-1)
			}
			slices.Sort(cuts)
			check("random", slices.Compact(cuts)...)
		}
	}
}

// Every row is a hello of our own making with one thing about it.
func TestRead(t *testing.T) {
	sni := serverName("mcr.microsoft.com")
	good := body(sni)
	tests := map[string]struct {
		stream []byte
		want   flow.Reason
		name   string
	}{
		"a plain hello is read":                             {stream: record(handshake(good)), name: "mcr.microsoft.com"},
		"a name is returned as sent":                        {stream: hello(serverName("MCR.Microsoft.com.")), name: "MCR.Microsoft.com."},
		"any minor record version passes":                   {stream: with(hello(sni), 2, 0), name: "mcr.microsoft.com"},
		"GREASE extensions pass":                            {stream: hello(ext(0x0a0a, ""), sni, ext(0x1a1a, "\x00")), name: "mcr.microsoft.com"},
		"an unknown extension passes":                       {stream: hello(ext(0xabcd, "anything"), sni), name: "mcr.microsoft.com"},
		"early data behind the hello is ignored":            {stream: slices.Concat(hello(sni), []byte{20, 3, 3, 0, 1, 1}, []byte{23, 3, 3, 0, 1, 0}), name: "mcr.microsoft.com"},
		"a hello of exactly 16 KiB is read":                 {stream: record(handshake(body(sni, padTo(MaxBytes, sni)))), name: "mcr.microsoft.com"},
		"a hello over 16 KiB is too long":                   {stream: records(handshake(body(sni, padTo(MaxBytes+1, sni))), 9000), want: flow.HelloTooLong},
		"a message that claims 16 MiB is too long at once":  {stream: []byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, want: flow.HelloTooLong},
		"sixteen records pass":                              {stream: records(handshake(good), seq(1, 15)...), name: "mcr.microsoft.com"},
		"seventeen records are too many":                    {stream: records(handshake(good), seq(1, 16)...), want: flow.HelloTooLong},
		"sixteen records without an end are too many":       {stream: records(handshake(good), seq(1, 16)...)[:16*6], want: flow.HelloTooLong},
		"no extensions at all name nobody":                  {stream: record(handshake(bodyNoExtensions())), want: flow.NoName},
		"no server_name names nobody":                       {stream: hello(ext(0x0a0a, "")), want: flow.NoName},
		"an empty list of names names nobody":               {stream: hello(ext(extServerName, "\x00\x00")), want: flow.NoName},
		"an empty name names nobody":                        {stream: hello(ext(extServerName, "\x00\x03\x00\x00\x00")), want: flow.NoName},
		"another type of name names nobody":                 {stream: hello(ext(extServerName, "\x00\x04\x01\x00\x01x")), want: flow.NoName},
		"an IPv4 address is no name":                        {stream: hello(serverName("10.0.0.1")), want: flow.AddressAsName, name: "10.0.0.1"},
		"an IPv6 address is no name":                        {stream: hello(serverName("2001:db8::1")), want: flow.AddressAsName, name: "2001:db8::1"},
		"an IPv6 address in brackets is no name":            {stream: hello(serverName("[::1]")), want: flow.AddressAsName, name: "[::1]"},
		"a hexadecimal address is no name":                  {stream: hello(serverName("0x7f.1")), want: flow.AddressAsName, name: "0x7f.1"},
		"an underscore is not valid":                        {stream: hello(serverName("a_b.example")), want: flow.InvalidName, name: "a_b.example"},
		"NUL is not valid":                                  {stream: hello(serverName("mcr.microsoft.com\x00.evil.example")), want: flow.InvalidName, name: "mcr.microsoft.com\x00.evil.example"},
		"a name with a port is not valid":                   {stream: hello(serverName("a.example:443")), want: flow.InvalidName, name: "a.example:443"},
		"UTF-8 is not valid":                                {stream: hello(serverName("bücher.example")), want: flow.InvalidName, name: "bücher.example"},
		"254 characters are not valid":                      {stream: hello(serverName(long254)), want: flow.InvalidName, name: long254},
		"two host names are malformed":                      {stream: hello(ext(extServerName, "\x00\x08\x00\x00\x01a\x00\x00\x01b")), want: flow.MalformedHello},
		"a host name beside another type is malformed":      {stream: hello(ext(extServerName, "\x00\x08\x01\x00\x01a\x00\x00\x01b")), want: flow.MalformedHello},
		"two server_name extensions are malformed":          {stream: hello(sni, sni), want: flow.MalformedHello},
		"two unknown extensions of one type are malformed":  {stream: hello(ext(0xabcd, ""), sni, ext(0xabcd, "")), want: flow.MalformedHello},
		"an empty server_name extension is malformed":       {stream: hello(ext(extServerName, "")), want: flow.MalformedHello},
		"a list shorter than its extension is malformed":    {stream: hello(ext(extServerName, "\x00\x04\x00\x00\x01ab")), want: flow.MalformedHello},
		"a list longer than its extension is malformed":     {stream: hello(ext(extServerName, "\x00\x09\x00\x00\x01a")), want: flow.MalformedHello},
		"a name longer than its list is malformed":          {stream: hello(ext(extServerName, "\x00\x04\x00\x00\x02a")), want: flow.MalformedHello},
		"bytes behind the extensions are malformed":         {stream: record(handshake(append(slices.Clone(good), 0))), want: flow.MalformedHello},
		"a cut extension is malformed":                      {stream: record(handshake(good[:len(good)-1])), want: flow.MalformedHello},
		"a session id over 32 bytes is malformed":           {stream: record(handshake(with(good, 34, 33))), want: flow.MalformedHello},
		"an odd cipher list is malformed":                   {stream: record(handshake(with(good, 36, 3))), want: flow.MalformedHello},
		"a hello of version 2 is malformed":                 {stream: record(handshake(with(good, 0, 2))), want: flow.MalformedHello},
		"an empty message is malformed":                     {stream: record([]byte{1, 0, 0, 0}), want: flow.MalformedHello},
		"pre_shared_key before another is malformed":        {stream: hello(ext(extPreSharedKey, "x"), sni), want: flow.MalformedHello},
		"an inner ECH on the outside is malformed":          {stream: hello(sni, ext(extECH, "\x01")), want: flow.MalformedHello},
		"an ECH of unknown type is malformed":               {stream: hello(sni, ext(extECH, "\x02")), want: flow.MalformedHello},
		"an empty ECH is malformed":                         {stream: hello(sni, ext(extECH, "")), want: flow.MalformedHello},
		"ech_outer_extensions on the outside is malformed":  {stream: hello(sni, ext(extECHOuter, "\x02\x00\x00")), want: flow.MalformedHello},
		"ALPN with an empty protocol is malformed":          {stream: hello(sni, ext(extALPN, "\x00\x01\x00")), want: flow.MalformedHello},
		"supported_versions of odd length is malformed":     {stream: hello(sni, ext(extSupportedVersions, "\x03\x03\x04\x03")), want: flow.MalformedHello},
		"another message in the same record is malformed":   {stream: record(append(handshake(good), 16, 0, 0, 0)), want: flow.MalformedHello},
		"an empty record in front is malformed":             {stream: slices.Concat([]byte{22, 3, 1, 0, 0}, hello(sni)), want: flow.MalformedHello},
		"an empty record in between is malformed":           {stream: slices.Concat(records(handshake(good), 9)[:14], []byte{22, 3, 1, 0, 0}), want: flow.MalformedHello},
		"a record over 2^14 is malformed":                   {stream: []byte{22, 3, 1, 0x40, 1}, want: flow.MalformedHello},
		"an alert between the records is malformed":         {stream: slices.Concat(records(handshake(good), 9)[:14], []byte{21, 3, 1, 0, 2, 1, 0}), want: flow.MalformedHello},
		"a change of major version in between is malformed": {stream: slices.Concat(records(handshake(good), 9)[:14], []byte{22, 2}), want: flow.MalformedHello},
		"an SSL 2.0 hello is not TLS":                       {stream: []byte{0x80, 0x2e, 1, 3, 1}, want: flow.NotTLS},
		"SSH is not TLS after one byte":                     {stream: []byte("S"), want: flow.NotTLS},
		"an HTTP request is not TLS":                        {stream: []byte("GET / HTTP/1.1\r\n"), want: flow.NotTLS},
		"an alert in front is not TLS":                      {stream: []byte{21, 3, 1, 0, 2, 1, 0}, want: flow.NotTLS},
		"a handshake that is not a ClientHello is not TLS":  {stream: record([]byte{2, 0, 0, 0}), want: flow.NotTLS},
		"a major record version other than 3 is not TLS":    {stream: []byte{22, 4}, want: flow.NotTLS},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			h, at, reason := readEveryWay(t, tt.stream)
			if at < 0 {
				t.Fatalf("asks for more after %d bytes, want %v", len(tt.stream), tt.want)
			}
			if reason != tt.want || string(h.Name) != tt.name {
				t.Errorf("got %v %q, want %v %q", reason, h.Name, tt.want, tt.name)
			}
		})
	}
}

func TestReadTellsECH(t *testing.T) {
	outer := "\x00\x00\x01\x00\x01\x2a\x00\x04encd\x00\x05paylo" // HKDF-SHA256, AES-128-GCM, config 42
	for _, tt := range []struct {
		about      string
		ext        []byte
		ech, draft bool
	}{
		{"outer ECH, GREASE or not", ext(extECH, outer), true, false},
		{"ESNI", ext(0xffce, "x"), false, true},
		{"draft 07", ext(0xff02, "x"), false, true},
		{"draft 07 nonce", ext(0xff03, "x"), false, true},
		{"draft 09", ext(0xfe09, "x"), false, true},
		{"a neighbour of ECH", ext(0xfe0e, "x"), false, false},
	} {
		h, more, reason := read(hello(serverName("a.example"), tt.ext))
		if more || reason != flow.NotDecided || h.ECH != tt.ech || h.DraftECH != tt.draft {
			t.Errorf("%s: more=%t %v ECH=%t draft=%t, want ECH=%t draft=%t", tt.about, more, reason, h.ECH, h.DraftECH, tt.ech, tt.draft)
		}
	}
}

func TestReadWithLittleScratch(t *testing.T) {
	stream := records(handshake(body(serverName("a.example"))), 20)
	if _, more, reason := Read(stream, make([]byte, 30)); more || reason != flow.HelloTooLong {
		t.Errorf("got more=%t %v, want hello-too-long", more, reason)
	}
	if h, more, reason := Read(hello(serverName("a.example")), nil); more || reason != flow.NotDecided || string(h.Name) != "a.example" {
		t.Errorf("one record needs no scratch: got %q more=%t %v", h.Name, more, reason)
	}
}

func TestMaxStreamIsEnough(t *testing.T) {
	msg := handshake(body(serverName("a.example"), padTo(MaxBytes, serverName("a.example"))))
	stream := records(msg, seq(1, 15)...)
	if len(stream) != MaxStream {
		t.Fatalf("the longest hello is %d bytes, MaxStream is %d", len(stream), MaxStream)
	}
	if _, more, reason := read(stream[:MaxStream-1]); !more {
		t.Errorf("one byte short: %v", reason)
	}
	if _, more, reason := read(stream); more || reason != flow.NotDecided {
		t.Errorf("whole: more=%t %v", more, reason)
	}
}

func TestNoAllocs(t *testing.T) {
	one := captures(t)[0].stream
	many := records(one[recordHeader:], 100, 200, 300)
	scratch := make([]byte, MaxBytes)
	for about, stream := range map[string][]byte{"one record": one, "four records": many, "a prefix": many[:250], "an address": hello(serverName("10.0.0.1"))} {
		if n := testing.AllocsPerRun(100, func() { Read(stream, scratch) }); n != 0 {
			t.Errorf("%s: %v allocations", about, n)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	stream := captures(b)[0].stream
	scratch := make([]byte, MaxBytes)
	for _, bb := range []struct {
		about  string
		stream []byte
	}{
		{"one-record", stream},
		{"two-records", records(stream[recordHeader:], 700)},
		{"first-segment", stream[:1400]},
	} {
		b.Run(bb.about, func(b *testing.B) {
			b.SetBytes(int64(len(bb.stream)))
			b.ReportAllocs()
			for b.Loop() {
				Read(bb.stream, scratch)
			}
		})
	}
}

var long254 = strings.Repeat("a23456789.", 25) + "abcd"

// hello builds a ClientHello with the extensions in one record.
func hello(exts ...[]byte) []byte { return record(handshake(body(exts...))) }

// body builds the body of a ClientHello as a small TLS library would.
func body(exts ...[]byte) []byte {
	all := slices.Concat(exts...)
	return slices.Concat(bodyNoExtensions(), u16(len(all)), all)
}

func bodyNoExtensions() []byte {
	return slices.Concat(u16(0x0303), bytes.Repeat([]byte{7}, 32), []byte{0}, u16(2), u16(0x1301), []byte{1, 0})
}

// padTo returns a padding extension (RFC 7685) that brings the message with
// exts to size bytes.
func padTo(size int, exts ...[]byte) []byte {
	return ext(21, string(make([]byte, size-len(handshake(body(append(exts, ext(21, ""))...))))))
}

func ext(kind uint16, data string) []byte {
	return slices.Concat(u16(int(kind)), u16(len(data)), []byte(data))
}

func serverName(name string) []byte {
	return ext(extServerName, string(slices.Concat(u16(len(name)+3), []byte{0}, u16(len(name)), []byte(name))))
}

func handshake(body []byte) []byte {
	return slices.Concat([]byte{typeClientHello, byte(len(body) >> 16)}, u16(len(body)), body)
}

func record(msg []byte) []byte {
	return slices.Concat([]byte{typeHandshake, 3, 1}, u16(len(msg)), msg)
}

// records spreads msg over records that begin at the cuts.
func records(msg []byte, cuts ...int) []byte {
	var out []byte
	begin := 0
	for _, cut := range append(slices.Clone(cuts), len(msg)) {
		out = append(out, record(msg[begin:cut])...)
		begin = cut
	}
	return out
}

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// with returns b with one byte changed.
func with(b []byte, at int, value byte) []byte {
	b = slices.Clone(b)
	b[at] = value
	return b
}

// seq returns lo to hi, both included.
func seq(lo, hi int) (out []int) {
	for i := lo; i <= hi; i++ {
		out = append(out, i)
	}
	return out
}
