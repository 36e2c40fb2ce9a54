// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package client is what runs on a lab's node: clients that reach a destination
// with the protocol it is for, and clients that say exactly the bytes they are
// told to. Every one carries a nonce, so that what arrives outside can be told
// apart from everything else.
package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/lab/agent"
)

// Kinds of client.
const (
	HTTPS = "https"
	HTTP  = "http"
	NTP   = "ntp"
	TCP   = "tcp"
	UDP   = "udp"
)

// Target is something to reach.
type Target struct {
	Kind     string         `json:"kind"`
	Name     string         `json:"name,omitempty"`    // resolved, sent as server name or Host
	Addr     netip.Addr     `json:"addr,omitzero"`     // dialled without asking for the name
	Port     uint16         `json:"port"`              //
	Source   netip.Addr     `json:"source,omitzero"`   // any address of the node when invalid
	Resolver netip.AddrPort `json:"resolver,omitzero"` // needed without Addr
	Nonce    string         `json:"nonce"`             // NewNonce; 16 hexadecimal digits
	Timeout  time.Duration  `json:"timeout,omitempty"` // of the whole; 5 s when 0
	Path     string         `json:"path,omitempty"`    // "/echo/NONCE" when ""
	Host     string         `json:"host,omitempty"`    // Host header when it is to differ from Name
	TLS      TLS            `json:"tls,omitzero"`      // for HTTPS
	Split    []int          `json:"split,omitempty"`   // sizes of the first segments; the rest goes as it comes
	Delay    time.Duration  `json:"delay,omitempty"`   // between those segments

	Multipath bool `json:"multipath,omitempty"` // offers multipath TCP
}

// TLS is how an HTTPS client behaves.
type TLS struct {
	Roots      []byte   `json:"roots,omitempty"`      // PEM; the only roots trusted
	Unverified bool     `json:"unverified,omitempty"` // takes any certificate
	ServerName string   `json:"serverName,omitempty"` // sent in place of Target.Name
	NoName     bool     `json:"noName,omitempty"`     // sends no server name
	ALPN       []string `json:"alpn,omitempty"`
	Classical  bool     `json:"classical,omitempty"` // offers no post-quantum key share, so the hello is short
	ECH        []byte   `json:"ech,omitempty"`       // an ECHConfigList; the server name is encrypted for it, and its public name sent
	Resume     bool     `json:"resume,omitempty"`    // gets a session with one connection, and resumes it with the one that counts

	sessions tls.ClientSessionCache
}

// Result is how it went.
type Result struct {
	OK      bool           `json:"ok"`
	Error   string         `json:"error,omitempty"`
	Phase   string         `json:"phase,omitempty"`   // where it failed: dns, connect, hello, answer
	Refused bool           `json:"refused,omitempty"` // told so: NXDOMAIN, reset or unreachable, and not by silence
	Addrs   []netip.Addr   `json:"addrs,omitempty"`   // what the name resolved to
	Local   netip.AddrPort `json:"local,omitzero"`
	Remote  netip.AddrPort `json:"remote,omitzero"`
	Status  int            `json:"status,omitempty"` // of HTTP
	ALPN    string         `json:"alpn,omitempty"`
	Resumed bool           `json:"resumed,omitempty"` // the TLS session was an earlier one
	Bytes   int64          `json:"bytes,omitempty"`   // of the answer
	SHA256  string         `json:"sha256,omitempty"`  // of the answer, in hexadecimal
	Took    time.Duration  `json:"took"`

	Multipath bool `json:"multipath,omitempty"` // the server has taken multipath TCP
}

// Phases of a reach.
const (
	Resolving  = "dns"
	Connecting = "connect"
	Greeting   = "hello"
	Answering  = "answer"
)

// NewNonce returns 16 hexadecimal digits that nobody has used before.
func NewNonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Ops returns the operations reach, say, ask, ping, forge, inject and flood.
func Ops() agent.Ops {
	return agent.Ops{
		"reach":  agent.Op(func(ctx context.Context, t Target) (Result, error) { return Reach(ctx, t), nil }),
		"say":    agent.Op(func(ctx context.Context, r Raw) (Heard, error) { return Say(ctx, r), nil }),
		"ask":    agent.Op(func(ctx context.Context, q Question) (Answer, error) { return Ask(ctx, q), nil }),
		"ping":   agent.Op(func(ctx context.Context, p Ping) (Heard, error) { return SendPing(ctx, p), nil }),
		"forge":  agent.Op(func(ctx context.Context, s Segment) (Heard, error) { return Forge(ctx, s), nil }),
		"inject": agent.Op(func(ctx context.Context, i Injection) (Heard, error) { return Inject(ctx, i), nil }),
		"flood":  agent.Op(func(ctx context.Context, f Flood) (Flooded, error) { return f.Run(ctx), nil }),
	}
}

// failure is an error with the phase it happened in.
type failure struct {
	phase string
	err   error
}

func (f *failure) Error() string { return f.phase + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func in(phase string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{phase, err}
}

// Reach goes for t once. That it failed is in the result.
func Reach(ctx context.Context, t Target) (r Result) {
	start := time.Now()
	if t.Timeout == 0 {
		t.Timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var err error
	if t.TLS.Resume {
		t.TLS.sessions = tls.NewLRUClientSessionCache(1)
		err = reach(ctx, t, new(Result))
	}
	if err == nil {
		err = reach(ctx, t, &r)
	}
	r.OK, r.Took = err == nil, time.Since(start)
	if f := (*failure)(nil); errors.As(err, &f) {
		r.Phase = f.phase
	}
	if err != nil {
		r.Error, r.Refused = err.Error(), refused(err)
	}
	return r
}

// refused reports whether somebody said no, where silence would be a timeout.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EACCES) ||
		errors.Is(err, errNoSuchName)
}

func reach(ctx context.Context, t Target, r *Result) error {
	to := t.Addr
	if !to.IsValid() {
		a := Ask(ctx, Question{Name: t.Name, Type: family(t.Source), Server: t.Resolver, Source: t.Source})
		r.Addrs = a.Addrs
		if err := a.err(); err != nil {
			return in(Resolving, err)
		}
		if len(a.Addrs) == 0 {
			return in(Resolving, fmt.Errorf("%s has no %s record", t.Name, family(t.Source)))
		}
		to = a.Addrs[0]
	}
	r.Remote = netip.AddrPortFrom(to, t.Port)
	c, from, err := dial(ctx, t, r.Remote)
	if r.Local = from; err != nil {
		return in(Connecting, err)
	}
	defer func() { _ = c.Close() }()
	if tcp, ok := c.(*net.TCPConn); ok {
		r.Multipath, _ = tcp.MultipathTCP()
	}
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	switch t.Kind {
	case HTTPS, HTTP:
		return web(ctx, c, t, r)
	case NTP:
		return in(Answering, askTime(c, t.Nonce))
	case TCP, UDP:
		return in(Answering, echo(c, t))
	}
	return fmt.Errorf("there is no kind of client %q", t.Kind)
}

// family returns the record type for a source address.
func family(source netip.Addr) string {
	if source.Is6() {
		return "AAAA"
	}
	return "A"
}

// dial connects. The node's end is told also when nobody answers, since what
// refuses a flow names it.
func dial(ctx context.Context, t Target, to netip.AddrPort) (c net.Conn, from netip.AddrPort, err error) {
	network, d := "tcp", net.Dialer{}
	if t.Kind == NTP || t.Kind == UDP {
		network = "udp"
	}
	d.SetMultipathTCP(t.Multipath)
	if t.Source.IsValid() {
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var bound error
			err := raw.Control(func(fd uintptr) { from, bound = bind(int(fd), t.Source) })
			return errors.Join(err, bound)
		}
	}
	if c, err = d.DialContext(ctx, network, to.String()); err != nil {
		return nil, from, err
	}
	from = local(c)
	if len(t.Split) > 0 {
		c = &splitConn{Conn: c, sizes: t.Split, delay: t.Delay}
	}
	return c, from, nil
}

// bind gives a socket that address and a port of the kernel's choice.
func bind(fd int, source netip.Addr) (netip.AddrPort, error) {
	var at unix.Sockaddr = &unix.SockaddrInet6{Addr: source.As16()}
	if source.Is4() {
		at = &unix.SockaddrInet4{Addr: source.As4()}
	}
	if err := unix.Bind(fd, at); err != nil {
		return netip.AddrPort{}, os.NewSyscallError("bind", err)
	}
	at, err := unix.Getsockname(fd)
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(source, uint16(at.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(source, uint16(at.Port)), nil
	}
	return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
}

func local(c net.Conn) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(c.LocalAddr().String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// splitConn sends the first bytes in segments of the given sizes.
type splitConn struct {
	net.Conn
	sizes []int
	delay time.Duration
}

func (c *splitConn) Write(b []byte) (int, error) {
	done := 0
	for len(c.sizes) > 0 && done < len(b) {
		n := min(max(c.sizes[0], 1), len(b)-done)
		c.sizes = c.sizes[1:]
		if _, err := c.Conn.Write(b[done : done+n]); err != nil {
			return done, err
		}
		done += n
		// Go turns Nagle's algorithm off, so each write is a segment; the pause
		// keeps the kernel from joining two that wait for room.
		time.Sleep(max(c.delay, 2*time.Millisecond))
	}
	if done == len(b) {
		return done, nil
	}
	n, err := c.Conn.Write(b[done:])
	return done + n, err
}

// trimmed cuts a line's end off.
func trimmed(s string) string { return strings.TrimRight(s, "\r\n") }
