// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Setup is how an agent's network namespace is to look.
type Setup struct {
	Sysctls []Sysctl `json:"sysctls"` // written first, in this order
	Links   []Link   `json:"links"`   // there already; set up and given addresses
	Routes  []Route  `json:"routes"`
	Mounts  []Mount  `json:"mounts"`
}

// Sysctl is one setting below /proc/sys. One that this kernel does not have is
// left out.
type Sysctl struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// Link is an interface with the addresses it gets. MTU 0 leaves it.
type Link struct {
	Name  string         `json:"name"`
	MTU   int            `json:"mtu,omitempty"`
	Addrs []netip.Prefix `json:"addrs"`
}

// Route leads to Dst over Dev, through Via when that is valid; Via need not be
// on a subnet of the link.
type Route struct {
	Dst    netip.Prefix `json:"dst"`
	Dev    string       `json:"dev"`
	Via    netip.Addr   `json:"via,omitzero"`
	AdvMSS int          `json:"advmss,omitempty"` // what to tell peers, beyond what the link would say
}

// Mount binds a file over another one in the agent's mount namespace.
type Mount struct {
	From string `json:"from"`
	Over string `json:"over"`
}

// Configure makes the namespace look like s.
func Configure(_ context.Context, s Setup) (struct{}, error) {
	for _, c := range s.Sysctls {
		err := os.WriteFile(filepath.Join("/proc/sys", c.Path), []byte(c.Value), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return struct{}{}, fmt.Errorf("set sysctl %s: %w", c.Path, err)
		}
	}
	for _, l := range s.Links {
		if err := l.configure(); err != nil {
			return struct{}{}, fmt.Errorf("configure %s: %w", l.Name, err)
		}
	}
	for _, r := range s.Routes {
		if err := r.add(); err != nil {
			return struct{}{}, fmt.Errorf("add route to %s over %s: %w", r.Dst, r.Dev, err)
		}
	}
	for _, m := range s.Mounts {
		if err := unix.Mount(m.From, m.Over, "", unix.MS_BIND, ""); err != nil {
			return struct{}{}, fmt.Errorf("bind %s over %s: %w", m.From, m.Over, err)
		}
	}
	return struct{}{}, nil
}

func (l Link) configure() error {
	link, err := netlink.LinkByName(l.Name)
	if err != nil {
		return err
	}
	if l.MTU > 0 {
		if err := netlink.LinkSetMTU(link, l.MTU); err != nil {
			return err
		}
	}
	for _, p := range l.Addrs {
		a := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	return netlink.LinkSetUp(link)
}

func (r Route) add() error {
	link, err := netlink.LinkByName(r.Dev)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r.Dst), AdvMSS: r.AdvMSS}
	if r.Via.IsValid() {
		route.Gw, route.Flags = r.Via.AsSlice(), int(netlink.FLAG_ONLINK)
	} else if r.Dst.Addr().Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	return netlink.RouteReplace(route)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
