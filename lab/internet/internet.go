// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package internet is the world outside a lab's gateway: name servers, servers
// for every name and protocol that a program knows, an attacker, and a witness
// that sees what arrives at any of them. Everything runs in one process inside
// one network namespace, where every server address stands on the loopback
// interface.
package internet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/lab/agent"
)

// Config is what the world is to be.
type Config struct {
	CACert, CAKey []byte              // PEM; every server certificate is signed by it
	Records       map[string][]string // owner ("mcr.microsoft.com", "*.example.com") -> "TYPE DATA"
	TTL           uint32              // of every record, in seconds
	Resolvers     []netip.AddrPort    // where names are answered, over UDP and TCP
	TCP           []Port
	UDP           []netip.AddrPort
	Greeters      []netip.Addr      // servers that speak first on every TCP port
	Sites         map[string]string // host -> directory whose files it serves, or http:// address it passes requests to
	Watch         string            // interface on which the witness looks; "" for none
	ECH           ECH               // of the servers that have keys for encrypted hellos
}

// Port is a TCP port on which every address answers.
type Port struct {
	Port        uint16
	SpeaksFirst bool // the server greets before it has heard anything
}

// Kinds of event.
const (
	Served  = "served"  // a server understood a request
	Query   = "query"   // a name server was asked
	Payload = "payload" // the witness saw bytes of a flow arrive
)

// Event is something that was seen out there.
type Event struct {
	Time   time.Time      `json:"time"`
	Kind   string         `json:"kind"`
	Proto  string         `json:"proto"`          // https, http, tcp, udp, ntp, dns, icmp
	Name   string         `json:"name,omitempty"` // server name, host or name asked for
	Local  netip.AddrPort `json:"local"`          // the server's end
	Remote netip.AddrPort `json:"remote"`         // the client's end, as it looks from outside
	Nonce  string         `json:"nonce,omitempty"`
	Bytes  int            `json:"bytes,omitempty"`
	Data   []byte         `json:"data,omitempty"` // for Payload, what arrived, up to a limit for each flow
}

// World is the running internet. Its zero value is not ready; use New.
type World struct {
	emit func(Event)

	mu      sync.Mutex
	cfg     Config
	records map[string][]record
	unasked map[string][]dns.RR
	closers []func()
	certs   *authority
	secrets *tls.Config // one for all connections: its ticket keys make sessions that can be resumed
	web     *handOver
}

// New returns a world in which nothing runs yet; emit gets its events.
func New(emit func(Event)) *World {
	return &World{emit: func(e Event) { e.Time = time.Now().UTC(); emit(e) }}
}

// Ops returns the operations serve, records, unasked and sites.
func (w *World) Ops() agent.Ops {
	return agent.Ops{
		"serve":   agent.Op(w.Serve),
		"records": agent.Op(w.SetRecords),
		"unasked": agent.Op(w.setUnasked),
		"sites":   agent.Op(w.setSites),
	}
}

// Serve starts everything and returns; Close ends it.
func (w *World) Serve(_ context.Context, cfg Config) (struct{}, error) {
	var err error
	if w.certs, err = newAuthority(cfg.CACert, cfg.CAKey); err != nil {
		return struct{}{}, err
	}
	w.cfg = cfg
	if _, err := w.SetRecords(context.Background(), cfg.Records); err != nil {
		return struct{}{}, err
	}
	w.secrets, w.web = w.tlsConfig(), newHandOver()
	w.serveWeb()
	var errs []error
	for _, at := range cfg.Resolvers {
		errs = append(errs, w.serveNames(at))
	}
	for _, p := range cfg.TCP {
		errs = append(errs, w.listen(p))
	}
	for _, at := range cfg.UDP {
		errs = append(errs, w.serveUDP(at))
	}
	if cfg.Watch != "" {
		errs = append(errs, w.witness(cfg.Watch))
	}
	return struct{}{}, errors.Join(errs...)
}

// Close ends every server.
func (w *World) Close() {
	w.mu.Lock()
	closers := w.closers
	w.closers = nil
	w.mu.Unlock()
	for _, c := range closers {
		c()
	}
}

func (w *World) onClose(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closers = append(w.closers, f)
}

// MinHops is how many hops an IPv4 packet must have left when it gets to a server
// over TCP: what has fewer would have got lost on the way to one that is farther.
const MinHops = 2

// listen answers on one port of every address.
func (w *World) listen(p Port) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(true)
	l, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", p.Port))
	if err != nil {
		return err
	}
	w.onClose(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			far(c)
			go w.converse(c, p.SpeaksFirst || slices.Contains(w.cfg.Greeters, addrPort(c.LocalAddr()).Addr()))
		}
	}()
	return nil
}

// far makes the server of a connection farther than the next hop, if it is over
// plain TCP.
func far(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MINTTL, MinHops) })
		}
	}
}

func (w *World) tlsConfig() *tls.Config {
	return &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			cert, err := w.certs.certificate(h.ServerName)
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				Certificates: []tls.Certificate{*cert}, NextProtos: protocol(h.SupportedProtos),
				GetEncryptedClientHelloKeys: w.cfg.ECH.keysFor, // those that it tells
			}, nil
		},
		GetEncryptedClientHelloKeys: w.cfg.ECH.keysFor, // those that it decrypts with
	}
}

// protocol picks HTTP/1.1 where it is offered and else whatever comes first, so
// that a client with an unusual protocol gets its own back.
func protocol(offered []string) []string {
	for _, p := range offered {
		if p == "http/1.1" {
			return []string{p}
		}
	}
	if len(offered) == 0 {
		return nil
	}
	return offered[:1]
}

func addrPort(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
