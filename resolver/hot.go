// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"

	"github.com/sallyport/sallyport/flow"
)

// Most questions are about what is in the cache. They are answered from bytes that
// were written once, without reading the question into a message, by the goroutine
// that reads the socket. Everything else about a question, and every question that
// is in some way unusual, is left to the ordinary way.

// hotAnswer is the answer to a question as it goes over UDP, behind the question.
type hotAnswer struct {
	tail    []byte
	ttls    []int // where the times to live stand in tail
	records uint16
	expires time.Time
}

// hotBatch is how many packets one system call reads or writes.
const hotBatch = 32

// hotConn answers such questions where they are read, and hands the others on.
type hotConn struct {
	*net.UDPConn
	r    *Resolver
	conn *ipv4.PacketConn // its batches are of any family

	in, out []ipv4.Message // out shares its addresses with in
	left    []ipv4.Message // read, and still to be handed on
}

func newHotConn(conn *net.UDPConn, r *Resolver) *hotConn {
	c := &hotConn{UDPConn: conn, r: r, conn: ipv4.NewPacketConn(conn)}
	for range hotBatch {
		c.in = append(c.in, ipv4.Message{Buffers: [][]byte{make([]byte, udpSize)}})
		c.out = append(c.out, ipv4.Message{Buffers: [][]byte{make([]byte, 0, udpSize)}})
	}
	return c
}

// ReadFrom reads a packet that is no question with an answer at hand.
func (c *hotConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for len(c.left) == 0 {
		n, err := c.conn.ReadBatch(c.in, 0)
		if err != nil {
			return 0, nil, err
		}
		answered := 0
		for _, m := range c.in[:n] {
			out := &c.out[answered]
			var ok bool
			if out.Buffers[0], ok = c.r.hot(out.Buffers[0][:0], m.Buffers[0][:m.N]); ok {
				out.Addr = m.Addr
				answered++
			} else {
				c.left = append(c.left, m)
			}
		}
		for sent := 0; sent < answered; {
			n, err := c.conn.WriteBatch(c.out[sent:answered], 0)
			if err != nil {
				n = 1 // whoever asked that is gone, and the others are not
			}
			sent += n
		}
	}
	m := c.left[0]
	c.left = append(c.left[:0], c.left[1:]...)
	return copy(b, m.Buffers[0][:m.N]), m.Addr, nil
}

// Parts of a message (RFC 1035 section 4.1, RFC 6891 section 6.1.2).
const (
	headSize = 12
	optSize  = 11

	bitsResponse     = 1 << 15
	bitsDesired      = 1 << 8 // recursion
	bitsAvailable    = 1 << 7
	bitsNoValidation = 1 << 4
	// What a question has no business with: response, opcode, authoritative,
	// truncated, recursion available, a reserved one, and an answer's code.
	bitsUnusual = 0xfe00 | bitsAvailable | 1<<6 | 0xf
)

// hot appends the answer to the question in q, if it is at hand.
func (r *Resolver) hot(out, q []byte) ([]byte, bool) {
	if len(q) < headSize {
		return out, false
	}
	bits := binary.BigEndian.Uint16(q[2:])
	extra := binary.BigEndian.Uint16(q[10:])
	if bits&bitsUnusual != 0 || binary.BigEndian.Uint16(q[4:]) != 1 || binary.BigEndian.Uint32(q[6:]) != 0 || extra > 1 {
		return out, false
	}
	var buf [maxHotKey]byte
	key, end, ok := hotKey(buf[:0], q)
	if !ok {
		return out, false
	}
	limit := dns.MinMsgSize
	if extra == 1 {
		opt := q[end:]
		// No owner, its type, version 0, and no options behind it.
		if len(opt) != optSize || opt[0] != 0 || binary.BigEndian.Uint16(opt[1:]) != dns.TypeOPT || opt[6] != 0 || opt[9] != 0 || opt[10] != 0 {
			return out, false
		}
		limit = min(max(int(binary.BigEndian.Uint16(opt[3:])), dns.MinMsgSize), udpSize)
	} else if len(q) != end {
		return out, false
	}
	now := r.cfg.Now()
	r.mu.Lock()
	a := r.hots[string(key)]
	r.mu.Unlock()
	if a == nil || !now.Before(a.expires) || end+len(a.tail)+int(extra)*optSize > limit {
		return out, false
	}
	out = append(out, q[:end]...)
	binary.BigEndian.PutUint16(out[2:], bitsResponse|bitsAvailable|bits&(bitsDesired|bitsNoValidation))
	binary.BigEndian.PutUint16(out[6:], a.records)
	out = append(out, a.tail...)
	ttl := uint32(max(a.expires.Sub(now), time.Second) / time.Second)
	for _, at := range a.ttls {
		binary.BigEndian.PutUint32(out[end+at:], ttl)
	}
	if extra == 1 {
		out = append(out, 0, 0, byte(dns.TypeOPT), udpSize>>8, udpSize&0xff, 0, 0, 0, 0, 0, 0)
	}
	return out, true
}

// maxHotKey is a name on the wire with its type.
const maxHotKey = 255 + 2

// hotKey appends what names the question of q, a name in lower case as on the wire
// and a type, and returns where the question ends.
func hotKey(key, q []byte) (_ []byte, end int, ok bool) {
	at := headSize
	for {
		if at >= len(q) || q[at] > 63 {
			return key, 0, false
		}
		n := int(q[at])
		if at+1+n > len(q) || len(key)+1+n > maxHotKey-2 {
			return key, 0, false
		}
		key = append(key, q[at])
		for _, c := range q[at+1 : at+1+n] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			key = append(key, c)
		}
		if at += 1 + n; n == 0 {
			break
		}
	}
	if at+4 > len(q) || binary.BigEndian.Uint16(q[at+2:]) != dns.ClassINET {
		return key, 0, false
	}
	return append(key, q[at:at+2]...), at + 4, true
}

// heat writes an answer that has just come as it is to be at hand, under key; nil
// when it is not to be.
func (r *Resolver) heat(q question, a *answer) (key string, h *hotAnswer) {
	msg := new(dns.Msg)
	msg.SetQuestion(dns.Fqdn(q.name.String()), q.typ)
	wire, err := msg.Pack()
	if err != nil {
		return "", nil
	}
	b, end, ok := hotKey(nil, wire)
	if !ok {
		return "", nil
	}
	key = string(b)
	if len(a.addrs) == 0 || a.filtered != flow.NotDecided {
		return key, nil // there is something to be said, or to be recorded
	}
	m := new(dns.Msg)
	m.SetReply(msg)
	m.Compress = true
	if wire, err = r.positive(m, msg, a, q.typ).Pack(); err != nil {
		return key, nil
	}
	h = &hotAnswer{tail: wire[end:], records: uint16(len(m.Answer)), expires: a.expires}
	at := end
	for range m.Answer {
		rr, next, err := dns.UnpackRR(wire, at)
		if err != nil {
			return key, nil
		}
		// Behind the owner: type, class, TTL, length and the data.
		h.ttls = append(h.ttls, next-int(rr.Header().Rdlength)-2-4-end)
		at = next
	}
	return key, h
}
