// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/service"
)

// listener is a net.Listener; named so that parts reads well.
type listener = net.Listener

func numQueues() int { return max(1, runtime.NumCPU()) }

// hostFacts is what a gateway needs to know of its host.
type hostFacts struct {
	inside []netip.Addr // addresses of the inside interface, on which the resolver answers
	front  []netip.Addr // addresses of the outside interface, whose published ports lead inwards
	own    []netip.Addr // every address of the host
	ipv6   bool         // whether there is a way out over IPv6
}

// inspect reads the host and changes nothing.
func inspect(inside, outside string) (hostFacts, error) {
	var h hostFacts
	links, err := net.Interfaces()
	if err != nil {
		return h, fmt.Errorf("list interfaces: %w", err)
	}
	var known []string
	for _, l := range links {
		known = append(known, l.Name)
	}
	var errs []error
	flags := []struct{ flag, name string }{{"--inside", inside}, {"--outside", outside}}
	if inside == outside {
		flags = flags[:1] // one interface is both; what is wrong with it is said once
	}
	for _, given := range flags {
		i := slices.Index(known, given.name)
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("%s: there is no interface %q; this host has %s", given.flag, given.name, strings.Join(known, ", ")))
		case links[i].Flags&net.FlagLoopback != 0:
			errs = append(errs, fmt.Errorf("%s: %s is the loopback interface, and no cluster is behind it", given.flag, given.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return h, err
	}
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil {
			return h, fmt.Errorf("list addresses of %s: %w", l.Name, err)
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			addr := p.Addr().Unmap()
			h.own = append(h.own, addr.WithZone(""))
			if l.Name == inside && !addr.IsLinkLocalUnicast() {
				h.inside = append(h.inside, addr)
			}
			if l.Name == outside && !addr.IsLinkLocalUnicast() {
				h.front = append(h.front, addr)
			}
		}
	}
	if len(h.inside) == 0 {
		return h, fmt.Errorf("interface %s has no address for the resolver to answer on", inside)
	}
	h.ipv6 = hasWay(outside, netlink.FAMILY_V6)
	return h, nil
}

// fits fails when the description asks for what this host does not have.
func (h *hostFacts) fits(l Loaded, inside, outside string) error {
	return errors.Join(h.canPublish(l.Program.Published), h.facesCluster(l.NextHops, inside, outside))
}

// facesCluster fails when the cluster's routes lead to an address that only the
// other interface has.
func (h *hostFacts) facesCluster(hops []netip.Addr, inside, outside string) error {
	for _, a := range hops {
		if slices.Contains(h.front, a) && !slices.Contains(h.inside, a) {
			return fmt.Errorf("%s and that is an address of %s: are they the wrong way round? Try --inside %s --outside %s, or write an address of %s",
				routesTo(a), outside, outside, inside, inside)
		}
	}
	return nil
}

// hopsAway says which of the addresses that the cluster's routes lead to the
// inside interface does not have. A load balancer in front of several gateways may
// have it.
func (h *hostFacts) hopsAway(hops []netip.Addr, inside string) []string {
	var out []string
	for _, a := range hops {
		switch {
		case !a.IsValid() || slices.Contains(h.inside, a):
		case slices.Contains(h.own, a):
			out = append(out, fmt.Sprintf("%s and this host has it, but not on %s", routesTo(a), inside))
		default:
			out = append(out, fmt.Sprintf("%s and %s has %v: right only where a load balancer has that address", routesTo(a), inside, h.inside))
		}
	}
	return out
}

func routesTo(hop netip.Addr) string {
	return fmt.Sprintf("the cluster's routes lead to %s, by gateway.privateAddress in the description,", hop)
}

// leadsOut says what is wrong with the way out of the outside interface, "" when
// nothing is.
func leadsOut(inside, outside string) string {
	switch {
	case hasWay(outside, netlink.FAMILY_V4):
		return ""
	case inside != outside && hasWay(inside, netlink.FAMILY_V4):
		return fmt.Sprintf("the default route leads out of %s, which is --inside, and none out of %s", inside, outside)
	}
	return fmt.Sprintf("no default route leads out of %s: what is allowed has nowhere to go", outside)
}

// hasWay reports whether the host has a default route of the family out of the
// interface.
func hasWay(name string, family int) bool {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return false
	}
	routes, err := netlink.RouteList(link, family)
	if err != nil {
		return false
	}
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			if ones, _ := maskOnes(r.Dst); ones == 0 {
				return true
			}
		}
	}
	return false
}

func maskOnes(n *net.IPNet) (ones, bits int) {
	if n == nil {
		return 0, 0
	}
	return n.Mask.Size()
}

// dnsSockets is where the resolver answers.
type dnsSockets struct {
	packets   []net.PacketConn
	listeners []net.Listener
}

func (s *dnsSockets) close() {
	for _, p := range s.packets {
		_ = p.Close()
	}
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

// listenDNS opens port 53 over UDP and TCP on each of the addresses.
func listenDNS(ctx context.Context, addrs []netip.Addr) (*dnsSockets, error) {
	s := new(dnsSockets)
	var errs []error
	lc := net.ListenConfig{Control: roomForQuestions}
	for _, a := range addrs {
		at := netip.AddrPortFrom(a, 53).String()
		pc, err := lc.ListenPacket(ctx, "udp", at)
		if err == nil {
			s.packets = append(s.packets, pc)
		} else {
			errs = append(errs, service.Taken(at, "udp", err))
		}
		l, err := lc.Listen(ctx, "tcp", at)
		if err == nil {
			s.listeners = append(s.listeners, l)
		} else {
			errs = append(errs, service.Taken(at, "tcp", err))
		}
	}
	if len(errs) > 0 {
		s.close()
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// listenProxy opens the port of the transparent proxy.
func listenProxy(ctx context.Context, port uint16) (net.Listener, error) {
	l, err := proxypath.Listen(ctx, port)
	switch {
	case errors.Is(err, syscall.EPERM):
		return nil, fmt.Errorf("no permission to listen on :%d/tcp for the addresses of others: run as root, or with CAP_NET_ADMIN", port)
	case err != nil:
		return nil, service.Taken(fmt.Sprintf(":%d", port), "tcp", err)
	}
	return l, nil
}

// roomForQuestions gives a socket the buffer for the burst of questions that the
// table lets through from several sources at once: about a kilobyte each.
func roomForQuestions(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "udp") {
		return nil
	}
	return c.Control(func(fd uintptr) {
		const size = 8 << 20
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size)
		}
	})
}
