// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Raw is a client that says exactly what it is told to.
type Raw struct {
	UDP    bool           `json:"udp,omitempty"` // each chunk is a datagram; else each is a segment
	Source netip.Addr     `json:"source,omitzero"`
	To     netip.AddrPort `json:"to"`
	Chunks [][]byte       `json:"chunks"`
	Delay  time.Duration  `json:"delay,omitempty"`  // between chunks; 2 ms when 0
	Listen time.Duration  `json:"listen,omitempty"` // for answers after the last chunk; 500 ms when 0
	First  bool           `json:"first,omitempty"`  // waits for the server to speak before the first chunk, within Listen
	Turns  bool           `json:"turns,omitempty"`  // waits for the server to speak before each chunk but the first, within Listen
	Lost   []int          `json:"lost,omitempty"`   // of the chunks, those whose first copy no router forwards, so that they arrive behind later ones
	Decoys []Decoy        `json:"decoys,omitempty"` // sent before the first chunk, over TCP and IPv4
}

// Heard is what came back.
type Heard struct {
	Connected bool           `json:"connected"`
	Sent      int            `json:"sent"` // bytes handed to the kernel
	Local     netip.AddrPort `json:"local,omitzero"`
	Data      []byte         `json:"data,omitempty"`
	Error     string         `json:"error,omitempty"`
	Refused   bool           `json:"refused,omitempty"`
}

// Say says it.
func Say(ctx context.Context, r Raw) (h Heard) {
	if r.Delay == 0 {
		r.Delay = 2 * time.Millisecond
	}
	if r.Listen == 0 {
		r.Listen = 500 * time.Millisecond
	}
	fail := func(err error) Heard {
		if err != nil {
			h.Error, h.Refused = err.Error(), refused(err)
		}
		return h
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	kind := TCP
	if r.UDP {
		kind = UDP
	}
	ears := listener(-1)
	if len(r.Decoys) > 0 {
		var err error
		if ears, err = hearSegments(); err != nil {
			return fail(err)
		}
		defer ears.close()
	}
	short, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	c, from, err := dial(short, Target{Kind: kind, Source: r.Source}, r.To)
	if h.Local = from; err != nil {
		return fail(err)
	}
	defer func() { _ = c.Close() }()
	h.Connected = true
	buf := make([]byte, 64<<10)
	hear := func() error {
		_ = c.SetReadDeadline(time.Now().Add(r.Listen))
		n, err := c.Read(buf)
		h.Data = append(h.Data, buf[:n]...)
		if err != nil && !isTimeout(err) {
			return err
		}
		return nil
	}
	if r.First {
		if err := hear(); err != nil {
			return fail(err)
		}
	}
	if len(r.Decoys) > 0 {
		if err := r.deceive(ctx, ears, h.Local); err != nil {
			return fail(err)
		}
	}
	for i, b := range r.Chunks {
		if i > 0 {
			time.Sleep(r.Delay)
		}
		if i > 0 && r.Turns {
			if err := hear(); err != nil {
				return fail(err)
			}
		}
		n, err := r.write(c, i, b)
		h.Sent += n
		if err != nil {
			return fail(err)
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(r.Listen))
	for ctx.Err() == nil && len(h.Data) < 1<<20 {
		n, err := c.Read(buf)
		h.Data = append(h.Data, buf[:n]...)
		if err != nil {
			if isTimeout(err) {
				err = nil
			}
			return fail(err)
		}
	}
	return h
}

// write sends chunk i. A lost one leaves with a hop limit of 1: the next router
// drops it, and the kernel sends it again with what the socket says by then.
func (r Raw) write(c net.Conn, i int, b []byte) (n int, err error) {
	if !slices.Contains(r.Lost, i) {
		return c.Write(b)
	}
	hops := func(limit int) error {
		if r.To.Addr().Is6() {
			return ipv6.NewConn(c).SetHopLimit(limit)
		}
		return ipv4.NewConn(c).SetTTL(limit)
	}
	if err := hops(1); err != nil {
		return 0, err
	}
	n, err = c.Write(b)
	return n, errors.Join(err, hops(64))
}

// deceive sends the decoys.
func (r Raw) deceive(ctx context.Context, ears listener, local netip.AddrPort) error {
	o, err := ears.opening(local, r.To)
	if err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond) // the server has accepted by then, and is as far away as it says
	for _, d := range r.Decoys {
		s, err := d.segment(o, local, r.To)
		if err != nil {
			return err
		}
		if h := Forge(ctx, s); h.Error != "" {
			return errors.New(h.Error)
		}
		time.Sleep(r.Delay)
	}
	return nil
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// Ping is an ICMP echo with a payload, or an error with one.
type Ping struct {
	Source netip.Addr `json:"source,omitzero"`
	To     netip.Addr `json:"to"`
	Data   []byte     `json:"data"`
	// Ports are those of a TCP flow over IPv4, at the source and at To: the message
	// says that a segment of To's did not arrive, and has Data behind its header.
	Ports [2]uint16 `json:"ports,omitzero"`
}

// message is what is sent.
func (p Ping) message() icmp.Message {
	switch {
	case p.Ports != [2]uint16{}:
		segment := Segment{From: netip.AddrPortFrom(p.To, p.Ports[1]), To: netip.AddrPortFrom(p.Source, p.Ports[0]), Flags: ACK, Data: p.Data}
		quoted := segment.packets()[0]
		binary.BigEndian.PutUint16(quoted[2:], uint16(len(quoted))) // which the kernel fills in what is sent itself
		binary.BigEndian.PutUint16(quoted[10:], fold(quoted[:20]))
		return icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 1, Body: &icmp.DstUnreach{Data: quoted}}
	case p.To.Is6():
		return icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: 7119, Seq: 1, Data: p.Data}}
	}
	return icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 7119, Seq: 1, Data: p.Data}}
}

// SendPing sends it and waits half a second for the echo.
func SendPing(_ context.Context, p Ping) (h Heard) {
	network, any := "ip4:icmp", "0.0.0.0"
	if p.To.Is6() {
		network, any = "ip6:ipv6-icmp", "::"
	}
	if p.Source.IsValid() {
		any = p.Source.String()
	}
	fail := func(err error) Heard { h.Error, h.Refused = err.Error(), refused(err); return h }
	c, err := icmp.ListenPacket(network, any)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = c.Close() }()
	m := p.message()
	raw, err := m.Marshal(nil)
	if err != nil {
		return fail(err)
	}
	if h.Sent, err = c.WriteTo(raw, &net.IPAddr{IP: p.To.AsSlice()}); err != nil {
		return fail(err)
	}
	h.Connected = true
	_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	buf := make([]byte, 64<<10)
	n, _, err := c.ReadFrom(buf)
	if err != nil {
		if isTimeout(err) {
			return h
		}
		return fail(err)
	}
	h.Data = buf[:n]
	return h
}

// Outcome says in a few words how far the client got.
func (h Heard) Outcome() string {
	switch {
	case h.Error == "" && len(h.Data) > 0:
		return "answered"
	case h.Error == io.EOF.Error() && len(h.Data) > 0:
		return "answered and closed"
	case h.Error == "":
		return "silence"
	case !h.Connected && h.Refused:
		return "connection refused"
	case h.Refused:
		return "connection reset"
	}
	return h.Error
}
