// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
)

// Whatever is read, Parse either accepts a description for which the laws below
// hold, or says where it is wrong, one problem a line.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/bad/*.yaml", "testdata/az/*.yaml"} {
		for _, file := range glob(f, pattern) {
			f.Add(read(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("c.yaml", data)
		if err == nil {
			if law := broken(c); law != nil {
				t.Errorf("accepted, but %v", law)
			}
			again, err := Parse("c.yaml", slices.Clone(data))
			if err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
				t.Errorf("read twice, the description is not the same")
			}
			return
		}
		problems, ok := err.(Errors)
		if !ok || len(problems) == 0 || c != nil {
			t.Fatalf("refused with %T and %v", err, c)
		}
		lines := bytes.Count(data, []byte{'\n'}) + bytes.Count(data, []byte{'\r'}) + bytes.Count(data, []byte("\u0085")) +
			bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029")) + 2
		for i, p := range problems {
			if p.Msg == "" || strings.ContainsAny(p.String(), "\n\r\x1b") || p.Line > lines || (p.Line == 0) != (p.Col == 0) {
				t.Errorf("bad message %q", p)
			}
			if i > 0 && p.Line < problems[i-1].Line {
				t.Errorf("%v stands behind %v", p, problems[i-1])
			}
		}
	})
}

// broken returns the law of a checked description that c breaks, or nil.
func broken(c *Cluster) error {
	n := c.Network
	nodes, pods, services := netset.Of(n.Nodes...), netset.Of(n.Pods...), netset.Of(n.Services...)
	facts := factsOf(c.Cloud)
	switch {
	case c.Provider != "aks" || facts.domain == "" || !locationShape.MatchString(c.Location) || cloudOfLocation(c.Location) != c.Cloud:
		return fmt.Errorf("it is nowhere: %q %q %q", c.Provider, c.Cloud, c.Location)
	case c.Tunnel == "" || n.Plugin == "" || n.OutboundType == "" || (n.Plugin == AzureCNI) != (n.Mode != ""):
		return fmt.Errorf("a choice is open: %+v", n)
	case nodes.IsEmpty() || nodes.Overlaps(pods) || nodes.Overlaps(services) || pods.Overlaps(services):
		return fmt.Errorf("subnets are empty or overlap: %+v", n)
	case c.PodsVisible() && n.Mode != NodeSubnet && pods.IsEmpty():
		return fmt.Errorf("pods are visible but nowhere")
	case !c.Nodes.Linux || len(c.DNS.Servers) == 0 || !slices.IsSorted(c.AddOns):
		return fmt.Errorf("nodes, servers or add-ons: %+v", c)
	case c.Edition != "" && !c.AsOf.IsZero() || c.AsOf != c.AsOf.UTC().Truncate(24*time.Hour) || c.Nodes.ImageDate.Before(firstImage) && !c.Nodes.ImageDate.IsZero():
		return fmt.Errorf("dates: edition %q as of %v, image of %v", c.Edition, c.AsOf, c.Nodes.ImageDate)
	case !netset.Private().Covers(c.AllowPrivate) || c.AllowPrivate.Overlaps(pods.Union(services)):
		return fmt.Errorf("allowPrivate is %v", c.AllowPrivate)
	}
	for _, a := range c.APIServer.Addresses {
		if netset.Never().Contains(a) || netset.Private().Contains(a) != c.APIServer.Private {
			return fmt.Errorf("an API server's address is %v", a)
		}
	}
	ids := map[string]bool{}
	for _, r := range c.Allow {
		if r.ID == "" || ids[r.ID] || r.Reason == "" || r.Line < 1 || len(r.Ports) == 0 || r.Pattern.IsZero() == (len(r.Prefixes) == 0) {
			return fmt.Errorf("a rule is not whole: %+v", r)
		}
		ids[r.ID] = true
		if own := netset.Of(r.Prefixes...); own.Overlaps(c.Inside()) || own.Overlaps(nowhere) {
			return fmt.Errorf("a rule is about %v", own)
		}
		for _, p := range r.Ports {
			if p.Ports.IsEmpty() || len(r.Prefixes) > 0 && p.Protocol.App != flow.Raw {
				return fmt.Errorf("a rule has the ports %v", p)
			}
		}
		for _, s := range r.Sources {
			visible := nodes
			if c.PodsVisible() {
				visible = visible.Union(pods)
			}
			if s.Group == GroupPods && (!c.PodsVisible() || pods.IsEmpty()) || s.Group == "" && !visible.Covers(netset.Of(s.Prefix)) {
				return fmt.Errorf("a rule has the source %v", s)
			}
		}
	}
	return nil
}

// Whatever az prints, a draft is YAML that Parse understands as far as it goes.
func FuzzFromAzure(f *testing.F) {
	for _, file := range glob(f, "testdata/az/*.json") {
		f.Add(read(f, file))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := FromAzure(data)
		if err != nil {
			return
		}
		_, err = Parse("c.yaml", d.YAML())
		problems, _ := err.(Errors)
		for _, p := range problems {
			if strings.HasPrefix(p.Msg, "not YAML") || strings.Contains(p.Msg, "is not a key") {
				t.Errorf("%v\n%s", p, d.YAML())
			}
		}
	})
}
