// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host changes what the host needs outside nftables: sysctls, and the rule and
// route that bring packets for the transparent proxy to this host. What was
// there before is written to a file first, so that Restore works after a kill.
type Host struct {
	file  string
	saved hostState
}

// hostState is what Restore puts back.
type hostState struct {
	Sysctls []savedSysctl `json:"sysctls"`
	Mark    uint32        `json:"mark"`  // of the rules we added; 0: none
	Table   int           `json:"table"` // the routing table that is ours
}

type savedSysctl struct {
	Path string `json:"path"` // below /proc/sys
	Was  string `json:"was"`
	Set  string `json:"set,omitempty"` // "" for one that another one changes along
}

// proxyTable is the routing table, ours alone, that sends everything to this
// host; rulePriority is where the rule that leads to it stands.
const (
	proxyTable   = 7119
	rulePriority = 7119
	sysctlRoot   = "/proc/sys"
)

// sysctls returns what forwarding needs, with the reason for each, and behind
// that what the kernel changes along with it, to be put back.
func sysctls(inside, outside string) []savedSysctl {
	list := []savedSysctl{
		{Path: "net/ipv4/ip_forward", Set: "1"},          // to forward at all
		{Path: "net/ipv6/conf/all/forwarding", Set: "1"}, // the same for IPv6
		// A connection that conntrack did not see begin is none of ours.
		{Path: "net/netfilter/nf_conntrack_tcp_loose", Set: "0"},
		// Bytes in close records.
		{Path: "net/netfilter/nf_conntrack_acct", Set: "1"},
		// The table refuses sources that are none of the cluster's, over IPv6 too, and
		// says so; the strict filter would drop them in silence before.
		{Path: "net/ipv4/conf/" + inside + "/rp_filter", Set: "2"},
		// What leaves by the interface it came in by is on the right way all the
		// same: a neighbour who were told of a shorter one would go around us. The
		// kernel sends redirects when either of the two is set.
		{Path: "net/ipv4/conf/all/send_redirects", Set: "0"},
		{Path: "net/ipv4/conf/" + outside + "/send_redirects", Set: "0"},
	}
	// A router does not listen to router advertisements unless told twice, and
	// the IPv6 way out may have come from one.
	accept := "net/ipv6/conf/" + outside + "/accept_ra"
	if v, err := readSysctl(accept); err == nil && v == "1" {
		list = append(list, savedSysctl{Path: accept, Set: "2"})
	}
	// Switching forwarding switches these (devinet.c, addrconf.c).
	for _, pattern := range []string{
		"net/ipv4/conf/all/accept_redirects", "net/ipv4/conf/*/forwarding", "net/ipv6/conf/*/forwarding",
	} {
		paths, _ := filepath.Glob(filepath.Join(sysctlRoot, pattern))
		for _, path := range paths {
			rel, _ := filepath.Rel(sysctlRoot, path)
			if rel != "net/ipv6/conf/all/forwarding" {
				list = append(list, savedSysctl{Path: rel})
			}
		}
	}
	return list
}

// optional sysctls may be absent or read-only, as in a network namespace of an
// ordinary user; what they lack is accounting or hardening, and is reported.
func isOptional(path string) bool {
	return strings.HasSuffix(path, "nf_conntrack_acct") || strings.HasSuffix(path, "_redirects") || strings.HasSuffix(path, "rp_filter") ||
		strings.HasPrefix(path, "net/ipv6/")
}

// Prepare saves what it is about to change into file and changes it. When file
// holds what an earlier run saved, those values stay the ones to restore. On an
// error everything is put back. The notes say what could not be had and is not
// necessary.
func Prepare(file, inside, outside string, m Marks) (h *Host, notes []string, err error) {
	h = &Host{file: file}
	earlier, err := readState(file)
	if err != nil {
		return nil, nil, err
	}
	was := make(map[string]string)
	if earlier != nil {
		for _, s := range earlier.Sysctls {
			was[s.Path] = s.Was
		}
	}
	h.saved = hostState{Mark: m.Proxied(), Table: proxyTable}
	for _, s := range sysctls(inside, outside) {
		now, err := readSysctl(s.Path)
		if err != nil {
			if isOptional(s.Path) {
				notes = append(notes, fmt.Sprintf("sysctl %s cannot be read: %v", s.Path, err))
				continue
			}
			return nil, nil, fmt.Errorf("read sysctl %s: %w", s.Path, err)
		}
		if s.Was = now; was[s.Path] != "" {
			s.Was = was[s.Path]
		}
		h.saved.Sysctls = append(h.saved.Sysctls, s)
	}
	if err := h.save(); err != nil {
		return nil, nil, err
	}
	for _, s := range h.saved.Sysctls {
		if s.Set == "" {
			continue
		}
		if err := writeSysctl(s.Path, s.Set); err != nil {
			if isOptional(s.Path) {
				notes = append(notes, fmt.Sprintf("sysctl %s cannot be set: %v", s.Path, err))
				continue
			}
			return nil, nil, errors.Join(fmt.Errorf("set sysctl %s: %w", s.Path, err), h.Restore())
		}
	}
	if err := h.steer(); err != nil {
		return nil, nil, errors.Join(err, h.Restore())
	}
	return h, notes, nil
}

// Saved returns the host whose state an earlier run saved in file, nil when
// there is none.
func Saved(file string) (*Host, error) {
	s, err := readState(file)
	if err != nil || s == nil {
		return nil, err
	}
	return &Host{file: file, saved: *s}, nil
}

func readState(file string) (*hostState, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read saved host state: %w", err)
	}
	var s hostState
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("saved host state %s is damaged: %w", file, err)
	}
	return &s, nil
}

func (h *Host) save() error {
	data, err := json.MarshalIndent(h.saved, "", "  ")
	if err != nil {
		return err
	}
	tmp := h.file + ".new"
	if err := errors.Join(os.WriteFile(tmp, append(data, '\n'), 0o600), os.Rename(tmp, h.file)); err != nil {
		return fmt.Errorf("save host state: %w", err)
	}
	return nil
}

// Restore puts back what was saved, and forgets it. It goes on after an error
// and returns all of them.
func (h *Host) Restore() error {
	var errs []error
	for _, s := range h.saved.Sysctls {
		now, err := readSysctl(s.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its interface is gone
		}
		if err == nil && now != s.Was {
			err = writeSysctl(s.Path, s.Was)
		}
		if err != nil && !isOptional(s.Path) {
			errs = append(errs, fmt.Errorf("restore sysctl %s: %w", s.Path, err))
		}
	}
	if h.saved.Mark != 0 {
		errs = append(errs, h.unsteer())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.Remove(h.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readSysctl(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join(sysctlRoot, path))
	return strings.TrimSpace(string(b)), err
}

func writeSysctl(path, value string) error {
	if now, err := readSysctl(path); err == nil && now == value {
		return nil
	}
	return os.WriteFile(filepath.Join(sysctlRoot, path), []byte(value), 0o644)
}

// steer adds the rule and the route of each family.
func (h *Host) steer() error {
	for _, f := range steerings() {
		if err := netlink.RouteReplace(f.route()); err != nil {
			if f.family == netlink.FAMILY_V6 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) {
				continue // no IPv6 on this host
			}
			return fmt.Errorf("add route to this host in table %d: %w", proxyTable, err)
		}
		rule := f.rule(h.saved.Mark)
		if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add routing rule for mark %#x: %w", h.saved.Mark, err)
		}
	}
	return nil
}

func (h *Host) unsteer() error {
	var errs []error
	for _, f := range steerings() {
		gone := func(err error) bool {
			return err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EAFNOSUPPORT)
		}
		if err := netlink.RuleDel(f.rule(h.saved.Mark)); !gone(err) {
			errs = append(errs, fmt.Errorf("delete routing rule for mark %#x: %w", h.saved.Mark, err))
		}
		if err := netlink.RouteDel(f.route()); !gone(err) {
			errs = append(errs, fmt.Errorf("delete route in table %d: %w", proxyTable, err))
		}
	}
	return errors.Join(errs...)
}

// steering is how one family's packets for the proxy reach this host.
type steering struct {
	family int
	all    net.IPNet
}

func steerings() []steering {
	return []steering{
		{netlink.FAMILY_V4, net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}},
		{netlink.FAMILY_V6, net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}},
	}
}

// route is local default dev lo table 7119. Its device has index 1 in every
// network namespace.
func (s steering) route() *netlink.Route {
	return &netlink.Route{
		Family: s.family, Dst: &s.all, LinkIndex: 1, Table: proxyTable, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST,
	}
}

// rule is fwmark MARK/MARK lookup 7119.
func (s steering) rule(mark uint32) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Priority, r.Table = s.family, rulePriority, proxyTable
	r.Mark, r.Mask = mark, &mark
	return r
}
