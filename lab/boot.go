// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/program"
)

// Step is one thing that a node's start script does on the network.
//
// The order, the targets and the exit codes are those of AgentBaker's
// cse_main.sh and cse_helpers.sh, snapshot 06836ee230 of 2026-08-21: a node of
// that day, against the list of the cluster's edition. Where they differ, a
// denial is what is expected, and the step says what the node does then.
type Step struct {
	ID     string
	Title  string
	Target client.Target
	Exit   string // what the start script ends with when this fails, "" when it goes on
	Then   string // what it does instead, when it does not end
	DNS    bool   // only the name is asked for
}

// bootSteps returns what a node of the cluster does, in its order.
func bootSteps(p *program.Program, c *cluster.Cluster, plan Plan) []Step {
	web := func(id, title, name, exit string) Step {
		return Step{ID: id, Title: title, Exit: exit, Target: client.Target{Kind: client.HTTPS, Name: name, Port: 443}}
	}
	source := web("package-source", "package source probe", "packages.aks.azure.com", "")
	source.Then = "falls back to acs-mirror.azureedge.net"
	fallback := web("package-fallback", "package source, fallback", "acs-mirror.azureedge.net", "")
	fallback.Then = "takes binaries from the cloud's own mirror"
	steps := []Step{source, fallback}

	if t := c.Network.OutboundType; t != "none" && t != "block" {
		probe := "mcr.microsoft.com"
		if c.Cloud == cluster.AzureChinaCloud {
			probe = "gcr.azk8s.cn"
		}
		out := web("outbound", "outbound probe", probe, "50")
		out.Target.TLS.Unverified = true // the script asks curl for -k
		steps = append(steps, out)
	}
	steps = append(steps, apiServerSteps(p, c)...)
	return append(steps, pulls(p, plan, steps)...)
}

func apiServerSteps(p *program.Program, c *cluster.Cluster) []Step {
	name := c.APIServer.Name
	for _, r := range p.Rows {
		if name.IsZero() && slices.Contains(r.ExitCodes, 51) {
			name = r.Probe // its wildcard stands for it
		}
	}
	if name.IsZero() {
		return nil
	}
	t := client.Target{Kind: client.HTTPS, Name: name.String(), Port: 443}
	steps := []Step{
		// 53 is for nodes that ask 168.63.129.16 themselves; these ask the gateway.
		{ID: "api-dns", Title: "API server, its name", Target: t, Exit: "52", DNS: true},
		{ID: "api-tls", Title: "API server, TLS", Target: t, Exit: "51"},
	}
	if c.APIServer.ByAddress && len(c.APIServer.Addresses) > 0 {
		byIP := client.Target{Kind: client.HTTPS, Addr: c.APIServer.Addresses[0], Port: 443}
		byIP.TLS.NoName = true
		steps = append(steps, Step{ID: "api-ip", Title: "API server, by address", Target: byIP, Exit: "51"})
	}
	return steps
}

// pulls returns what the node fetches once it knows its way: everything that
// the catalog knows an exit code for, and the time.
func pulls(p *program.Program, plan Plan, done []Step) []Step {
	var out []Step
	for _, r := range plan.Reaches {
		if t := r.Target(); t.Kind == client.NTP {
			out = append(out, Step{ID: "clock", Title: "clock", Target: t, Then: "its clock drifts until certificates are not valid"})
			break
		}
	}
	for _, r := range p.Rows {
		known := slices.ContainsFunc(append(done, out...), func(s Step) bool { return s.Target.Name == r.Probe.String() })
		if len(r.ExitCodes) == 0 || r.Pending != "" || r.Probe.IsZero() || known || r.Protocol != flow.ProtoHTTPS {
			continue
		}
		var codes []string
		for _, code := range r.ExitCodes {
			codes = append(codes, fmt.Sprint(code))
		}
		out = append(out, Step{
			ID: "pull-" + r.Requirement, Title: "pull, " + r.Requirement, Exit: strings.Join(codes, " or "),
			Target: client.Target{Kind: client.HTTPS, Name: r.Probe.String(), Port: r.PortNumber},
		})
	}
	return out
}

// allowed reports whether the program lets a well-behaved client do s.
func (s Step) allowed(e *Env) bool {
	f := flow.Flow{Src: e.Source, Dst: s.Target.Addr, Port: s.Target.Port, Transport: flow.TCP, App: flow.TLS, Proof: flow.BySNI}
	if s.Target.Kind == client.NTP {
		f.Transport, f.App, f.Proof = flow.UDP, flow.Raw, flow.ByDNS
	}
	if s.Target.Name != "" {
		f.Name = mustName(s.Target.Name)
	}
	return e.Program.Eval(f, e.Began).Verdict == flow.Allow
}

// run does the step and compares it with what the program says.
func (s Step) run(ctx context.Context, e *Env) Row {
	row := Row{Section: SectionBoot, ID: s.ID, Title: s.Title, Destination: s.Target.Name, Protocol: s.Target.Kind}
	if s.Target.Addr.IsValid() {
		row.Destination = s.Target.Addr.String()
	}
	want := s.allowed(e)
	var got client.Result
	if s.DNS {
		a, err := e.Lab.Ask(ctx, client.Question{Name: s.Target.Name, Source: e.Source})
		if got.OK = err == nil && len(a.Addrs) > 0; !got.OK {
			got.Error = fmt.Sprint(a.Rcode, a.Error)
		}
	} else {
		t := s.Target
		t.Source = e.Source
		var sent client.Target
		sent, got = e.Lab.Reach(ctx, t)
		row.Nonce = sent.Nonce
		if _, seen := e.Lab.Internet.Await(ctx, sent.Nonce, soon); got.OK && !seen {
			got.OK, got.Error = false, "no server has noted it"
		}
	}
	instead := s.Then
	if s.Exit != "" {
		instead = "ends with exit code " + s.Exit
	}
	switch {
	case got.OK && want:
		row.OK, row.Outcome = true, "ok"
	case got.OK:
		row.Outcome, row.Detail = "let through", "no rule allows it"
	case want:
		row.Outcome, row.Detail = "failed", strings.TrimSuffix(got.Error+"; the node "+instead, "; the node ")
	default:
		row.OK, row.Outcome = true, "denied"
		row.Detail = "as expected: not on the list of " + e.Program.Edition.ID + "; the node " + instead
	}
	return row
}
