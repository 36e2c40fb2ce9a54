// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

const whySchema = "sallyport.why/1"

func whyCommand() *cobra.Command {
	var file, format, from string
	c := &cobra.Command{
		Use:   "why DESTINATION...",
		Short: "Say whether something may be reached, by which rule, and why",
		Long: `Say for each destination whether the rules allow it, for what reason, by which
rule and from which source; for a denial, the smallest rule that would change it.

A destination is a name or an address, with a protocol before it and a port
behind it where they are not https and 443: mcr.microsoft.com,
udp/ntp.ubuntu.com:123, tcp/1.2.3.4:22, http/security.ubuntu.com, [2001:db8::1]:443,
or a URL. By name it is asked whether a flow is allowed that proves its name.

Exit codes: 0 all allowed, 1 one denied, 3 one cannot be decided yet, 2 bad input.`,
		Example: `  sallyport why mcr.microsoft.com
  sallyport why udp/1.2.3.4:123
  sallyport why --from 10.240.0.4 example.com`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("why needs a destination to ask about, such as: sallyport why mcr.microsoft.com")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			_, p, err := load(c, file)
			if err != nil {
				return err
			}
			src, from, err := sourceAddr(p, from)
			if err != nil {
				return err
			}
			var answers []whyJSON
			for _, a := range args {
				f, err := parseDestination(a)
				if err != nil {
					return err
				}
				f.Src = src
				answers = append(answers, ask(p, f, from, time.Now()))
			}
			return tell(c, p, answers, format)
		},
	}
	clusterFlag(c, &file)
	formatFlag(c, &format, "table or json")
	c.Flags().StringVar(&from, "from", "", "source: an address, nodes or pods (default nodes)")
	return c
}

// sourceAddr returns the address that a question comes from, and what to call it.
func sourceAddr(p *program.Program, from string) (netip.Addr, string, error) {
	if from == "" {
		from = "nodes"
	}
	if g, ok := p.Group(from); ok {
		if !g.Visible {
			return netip.Addr{}, "", fmt.Errorf("--from %s: %s, so a gateway never sees them; ask --from nodes", from, g.Why)
		}
		a, _ := g.Set.Witness()
		return a, from, nil
	}
	a, err := netip.ParseAddr(from)
	if err != nil {
		return netip.Addr{}, "", fmt.Errorf("--from %q is neither an address nor one of nodes, pods", from)
	}
	return a.Unmap(), from, nil
}

// parseDestination reads what why is asked about.
func parseDestination(s string) (flow.Flow, error) {
	bad := func(format string, args ...any) (flow.Flow, error) {
		return flow.Flow{}, fmt.Errorf("destination %q: %s; write it as mcr.microsoft.com, udp/ntp.ubuntu.com:123 or tcp/1.2.3.4:22",
			s, fmt.Sprintf(format, args...))
	}
	proto, rest, explicit := flow.ProtoHTTPS, s, false
	if scheme, _, isURL := strings.Cut(s, "://"); isURL {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return bad("it is not a URL with a host")
		}
		var perr error
		if proto, perr = flow.ParseProtocol(scheme); perr != nil {
			return bad("%v", perr)
		}
		rest, explicit = u.Host, true
	} else if before, after, cut := strings.Cut(s, "/"); cut {
		var err error
		if proto, err = flow.ParseProtocol(before); err != nil {
			return bad("%v", err)
		}
		rest, explicit = after, true
	}
	if apex, wild := strings.CutPrefix(rest, "*."); wild {
		return bad("it is a pattern; ask for a name under it, such as a.%s", apex)
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return bad("%v", err)
	}
	f := flow.Flow{Transport: proto.Transport, App: proto.App, Port: port}
	if addr, err := netip.ParseAddr(host); err == nil {
		f.Dst = addr.Unmap()
		f.App, f.Proof = flow.Raw, flow.ByAddress
		if !explicit && port == 0 {
			f.Port = 443
		}
	} else if f.Name, err = dnsname.Parse(host); err != nil {
		return bad("%v", err)
	} else {
		f.Proof = map[flow.App]flow.Proof{flow.Raw: flow.ByDNS, flow.TLS: flow.BySNI, flow.HTTP: flow.ByHost}[f.App]
	}
	if f.Port == 0 {
		switch proto {
		case flow.ProtoHTTPS:
			f.Port = 443
		case flow.ProtoHTTP:
			f.Port = 80
		default:
			return bad("%s needs a port", proto)
		}
	}
	return f, nil
}

// splitPort takes the port off host:port; port is 0 when there is none.
func splitPort(s string) (host string, port uint16, err error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.String(), 0, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0, nil
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is not a number from 1 to 65535", s[i+1:])
	}
	return strings.Trim(s[:i], "[]"), uint16(n), nil
}

type whyJSON struct {
	Flow    string          `json:"flow"`
	Source  string          `json:"source"`
	Verdict string          `json:"verdict"` // "allow", "deny" or "pending"
	Reason  string          `json:"reason"`
	Text    string          `json:"text"`
	Rule    *ruleJSON       `json:"rule,omitempty"`   // that allows, or came nearest
	Change  *program.Change `json:"change,omitempty"` // smallest rule that would allow it
	YAML    string          `json:"changeYAML,omitempty"`
	Pending *pendingJSON    `json:"pending,omitempty"` // what the answer waits for
	Also    []string        `json:"also,omitempty"`    // what is open on the same port
}

// ask puts one flow to the judge.
func ask(p *program.Program, f flow.Flow, from string, now time.Time) whyJSON {
	d := p.Eval(f, now)
	if d.Reason == flow.ProtocolMismatch {
		raw := asBytes(f)
		if e := p.Eval(raw, now); e.Verdict == flow.Allow {
			f, d = raw, e
		}
	}
	nameless := f
	nameless.Src = netip.Addr{}
	a := whyJSON{
		Flow: nameless.String(), Source: from, Verdict: d.Verdict.String(), Reason: d.Reason.String(), Text: d.Explain(f.Proof),
	}
	if r, ok := p.Rule(d.Rule); ok {
		j := newRuleJSON(r, now)
		a.Rule = &j
	}
	if d.Verdict == flow.Allow {
		return a
	}
	if x := waitsFor(p, f); x != nil {
		a.Verdict, a.Pending = "pending", x
		a.Text = "a requirement for it cannot be decided yet"
		return a
	}
	if c, ok := p.Suggest(f, d); ok {
		a.Change, a.YAML = &c, c.YAML()
	}
	if f.Name.IsZero() {
		for _, r := range p.Rules {
			if r.Protocol.Transport == f.Transport && r.Ports.Contains(f.Port) && f.Port != 443 {
				a.Also = append(a.Also, r.Destination())
			}
		}
	}
	return a
}

// asBytes is the flow as a rule for tcp or udp sees it, by whose port any
// protocol may pass: nothing is read, and the name has only led to the address.
func asBytes(f flow.Flow) flow.Flow {
	f.App, f.Proof = flow.Raw, flow.ByDNS
	return f
}

// waitsFor returns what a pending row that is about f waits for, nil when none is.
func waitsFor(p *program.Program, f flow.Flow) *pendingJSON {
	for _, row := range p.Rows {
		if row.Pending == "" || row.PortNumber != f.Port || row.Protocol.Transport != f.Transport {
			continue
		}
		stated := strings.ReplaceAll(row.Stated, "<location>", p.Cluster.Location)
		pattern, err := dnsname.ParsePattern(stated)
		if !f.Name.IsZero() && (err != nil || !pattern.Contains(f.Name)) {
			continue
		}
		for _, x := range newPendingJSON(p) {
			if x.Missing == row.Pending {
				return &x
			}
		}
	}
	return nil
}

// tell writes the answers and ends with the code they call for.
func tell(c *cobra.Command, p *program.Program, answers []whyJSON, format string) error {
	switch format {
	case "json":
		err := writeJSON(c.OutOrStdout(), struct {
			Schema  string      `json:"schema"`
			Edition editionJSON `json:"edition"`
			Answers []whyJSON   `json:"answers"`
		}{whySchema, newEditionJSON(p), answers})
		if err != nil {
			return err
		}
	case "table":
		for _, a := range answers {
			fmt.Fprint(c.OutOrStdout(), a.text())
		}
	default:
		return fmt.Errorf("output %q is not one of table, json", format)
	}
	if line := staleLine(p); line != "" {
		fmt.Fprintln(c.ErrOrStderr(), line)
	}
	verdicts := make(map[string]bool)
	for _, a := range answers {
		verdicts[a.Verdict] = true
	}
	return endWith(verdicts["deny"], verdicts["pending"])
}

// text writes an answer for people.
func (a whyJSON) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-7s  %s from %s\n", strings.ToUpper(a.Verdict), a.Flow, a.Source)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-8s %s\n", label, fmt.Sprintf(format, args...))
	}
	line("reason", "%s (%s)", a.Text, a.Reason)
	if r := a.Rule; r != nil {
		what := "rule"
		if a.Verdict != "allow" {
			what = "nearest"
		}
		dest := r.Name
		if dest == "" {
			dest = strings.Join(r.Addresses, ",")
		}
		line(what, "%s: %s %s/%s from %s", r.ID, dest, r.Protocol, r.Ports, strings.Join(r.Sources, ", "))
		for _, o := range r.Origins {
			need := "recommended"
			if o.Required {
				need = "required"
			}
			if o.Feature == program.FeatureOwner {
				need = "owner's rule"
			}
			line("because", "%s (%s, %s)", o.Purpose, o.Feature, need)
			src := fmt.Sprintf("%s, line %d", o.Citation.Document, o.Citation.Line)
			if o.Citation.Edition != "" {
				src = o.Citation.Document + ", edition " + o.Citation.Edition
				if o.Citation.Line > 0 {
					src += fmt.Sprintf(", line %d", o.Citation.Line)
				}
			}
			if o.Since != "" {
				src += ", listed since " + o.Since
			}
			if o.Until != "" {
				src += " until " + o.Until
			}
			line("source", "%s", src)
			if o.Note != "" {
				line("note", "%s", o.Note)
			}
		}
	}
	if a.Pending != nil {
		line("missing", "%s: set %s", a.Pending.Missing, a.Pending.Key)
		line("", "$ %s", a.Pending.Command)
	}
	if len(a.Also) > 0 {
		line("open to", "%s", strings.Join(a.Also, ", "))
	}
	if a.Change != nil {
		line("change", "under allow: in the cluster description, write")
		line("", "%s", a.YAML)
	}
	return b.String()
}
