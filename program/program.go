// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package program is the waist of Sallyport: the compiled rules of one cluster,
// neutral to where they came from and to what enforces them, with a slow and
// obvious evaluator that judges everything faster. It is plain data; compile
// makes it, and nothing changes it afterwards.
package program

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// Program is the compiled rule set of one cluster with the facts behind it.
type Program struct {
	Cluster Cluster
	Edition Edition
	Groups  []Group // named sources, "nodes" first

	Rules []Rule // in the order in which ties are decided and rules are shown
	Rows  []Row  // every source pair, never merged, with what became of it

	Pending       []Pending   // what cannot be decided yet
	NotStated     []Row       // pairs the source states for no cloud, left out in this one
	NotNeeded     []Row       // pairs of features the cluster has, whose condition does not hold
	NodeLocal     []NodeLocal // what a firewall on a node itself must leave open
	NotAsked      []NotAsked  // pairs of other days, features and conditions, which the cluster does not need
	Retired       []Retired   // destinations that left the list
	Coverage      []Coverage  // rules the source states without a destination, and what answers them
	Prerequisites []Statement // what must be true before egress is locked
	Advice        []Advice    // what else to do, with what to paste
	Warnings      []Statement // what is allowed and yet unwise

	Resolve       Resolve
	LoadBalancers bool          // whether the cluster has public load balancers
	Published     []Publication // the only ports of the gateway that lead inwards
}

// Cluster says which cluster a program is for.
type Cluster struct {
	Provider string
	Cloud    string
	Location string
	APIName  dnsname.Name // zero when not known
}

// Edition says which published list a program was made from.
type Edition struct {
	ID          string // day of publication
	Alias       string
	Document    string
	NewestKnown string // id of the newest edition known to exist
	Current     bool   // whether ID is that one
}

// Group is a named set of sources.
type Group struct {
	Name    string
	Set     netset.Set
	Visible bool   // whether a gateway in a hub sees these addresses
	Why     string // why not, "" when it does
}

// Resolve says how the gateway's resolver treats answers.
type Resolve struct {
	Upstreams    []netip.AddrPort
	Zones        []Zone     // zones with upstreams of their own
	AllowPrivate netset.Set // private addresses that names may lead to
	Own          netset.Set // the cluster's and the gateway's own addresses, which no name may lead to
}

// Zone is a DNS zone with its own upstreams.
type Zone struct {
	Apex      dnsname.Name
	Upstreams []netip.AddrPort
}

// Rule allows flows. Exactly one of Pattern and Prefixes is set. The zero Rule
// allows nothing.
type Rule struct {
	ID       flow.RuleID
	Pattern  dnsname.Pattern // destination by name; a flow must prove that it is for that name
	Prefixes netset.Set      // destination by address; nothing else is looked at
	Protocol flow.Protocol   // for a rule about addresses the App is always flow.Raw
	Ports    portset.Set
	Sources  netset.Set
	Groups   []string  // names of the groups and prefixes Sources was made from
	Strict   bool      // HTTPS by name: the gateway dials what the name resolves to, in place of the client's address
	Required bool      // false: recommended, or the owner's wish
	Until    time.Time // exclusive; zero: no end
	Origins  []Origin  // at least one
}

// ByName reports whether the rule's destination is a name pattern.
func (r Rule) ByName() bool { return !r.Pattern.IsZero() }

// LiveAt reports whether the rule has not ended at that time.
func (r Rule) LiveAt(at time.Time) bool { return r.Until.IsZero() || at.Before(r.Until) }

// PortTexts writes the rule's ports as "https/443", one for each pair.
func (r Rule) PortTexts() []string {
	out := r.Ports.Texts()
	for i, t := range out {
		out[i] = r.Protocol.String() + "/" + t
	}
	return out
}

// Destination writes the destination for people.
func (r Rule) Destination() string {
	if r.ByName() {
		return r.Pattern.String()
	}
	return r.Prefixes.String()
}

// Origin is one reason for a rule: a source pair, or a wish of the owner.
type Origin struct {
	Requirement string       // requirement id, or the id of the owner's rule
	Feature     string       // feature of the catalog, or "owner"
	Required    bool         // as the source says
	NotStated   bool         // the source does not state this for the cluster's cloud; its owner asked for it
	Stated      string       // destination as the source prints it
	Also        []string     // other forms in which the source writes it, such as a service tag
	Only        string       // for which other clusters the source states it, "" when for this one
	Port        string       // "https/443"
	Purpose     string       // why, in one line
	Probe       dnsname.Name // a name that stands for the destination in a live check; zero for addresses
	ExitCodes   []int        // with which a node's start script ends when it is blocked
	Since       time.Time    // first day of publication; zero for the owner's rules
	Until       time.Time    // first day it was no longer published; zero: still is
	ReplacedBy  string
	Note        string
	Overlay     string // file and line of the user's own catalog that this comes from, "" for the built-in one
	Citation    Citation
}

// FeatureOwner is the Feature of origins that are the owner's own rules.
const FeatureOwner = "owner"

// Citation says where a fact stands.
type Citation struct {
	Document string // title, or the file of an owner's rule
	Edition  string // day of publication, "" for a file
	Line     int    // 0 when the edition's text was not at hand
}

// NodeLocal is a destination that does not leave the node's network and that a
// firewall on the node itself must leave open.
type NodeLocal struct {
	ID       string
	Prefixes []string
	Ports    []string // "tcp/80"
	Purpose  string
	Note     string
	Source   string
}

// Row is one source pair and what became of it.
type Row struct {
	Origin
	ID          string        // "base-mcr/https-443"
	Protocol    flow.Protocol // of the pair
	PortNumber  uint16        // of the pair
	Destination string        // as compiled: the filled pattern or the addresses; "" while pending
	Rules       []flow.RuleID // rules that fulfil it, none while pending
	Pending     string        // what is missing, "" when nothing is
	Covered     string        // what answers the pair when it makes no rule of its own, "" when it makes one
}

// Pending is something that cannot be decided yet.
type Pending struct {
	Missing string   // what is not known, such as "API server addresses"
	Command string   // how to find out
	Key     string   // where to write it in the cluster description
	Rows    []string // ids of the rows that wait for it
}

// Retired is a destination that left the list.
type Retired struct {
	Destinations []string
	ReplacedBy   string
	Statement
}

// NotAsked is a pair that the list knows and that the cluster does not need: one
// that left the list, or one of a feature or condition that it does not have.
type NotAsked struct {
	Destination string // as the source prints it, with placeholders
	Protocol    flow.Protocol
	Port        uint16
	Until       time.Time // first day it was no longer listed; zero: it is listed
	For         string    // feature or condition it is listed for; "" when it is not listed
	ReplacedBy  string
	Requirement string
	Citation    Citation
}

// Coverage is a rule the source states without a destination.
type Coverage struct {
	Statement
	ID    string
	Ports []string
	By    string // what answers it
}

// Statement is a fact with its source.
type Statement struct {
	ID       string
	Text     string
	Command  string // shows it or makes it true, "" when there is none
	Citation Citation
}

// Advice is something to do beside the rules.
type Advice struct {
	Statement
	Kind  string // "important", "caution", "note" or "paste"
	Paste string // commands ready to run, "" when there are none
}

// Group returns the group called name; ok is false when there is none.
func (p *Program) Group(name string) (g Group, ok bool) {
	for _, g := range p.Groups {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

// Rule returns the rule called id; ok is false when there is none.
func (p *Program) Rule(id flow.RuleID) (r Rule, ok bool) {
	for _, r := range p.Rules {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// Without returns a copy of p that lacks the rules called ids.
func (p *Program) Without(ids ...flow.RuleID) *Program {
	q := *p
	q.Rules = nil
	for _, r := range p.Rules {
		drop := false
		for _, id := range ids {
			drop = drop || r.ID == id
		}
		if !drop {
			q.Rules = append(q.Rules, r)
		}
	}
	return &q
}

// Pair is one destination, protocol and port that a rule opens.
type Pair struct {
	Rule Rule
	Port portset.Range // one port nearly always; a range counts as one pair
}

// Pairs returns what the rules open, in their order.
func (p *Program) Pairs() []Pair {
	var out []Pair
	for _, r := range p.Rules {
		for _, ports := range r.Ports.Ranges() {
			// Neighbouring ports of one rule join into a range; a source never
			// states two neighbouring ports, so a range is always one pair.
			out = append(out, Pair{r, ports})
		}
	}
	return out
}

// Inside returns the addresses of the cluster's nodes and pods.
func (p *Program) Inside() netset.Set {
	nodes, _ := p.Group("nodes")
	pods, _ := p.Group("pods")
	return nodes.Set.Union(pods.Set)
}

// PodSources returns the source addresses of pods: they leave with the address
// of their node where nobody sees their own.
func (p *Program) PodSources() netset.Set {
	nodes, _ := p.Group("nodes")
	pods, ok := p.Group("pods")
	if ok && (pods.Visible || nodes.Set.IsEmpty()) {
		return pods.Set
	}
	return nodes.Set
}

// Servers returns the addresses of every DNS server that is asked.
func (r Resolve) Servers() netset.Set {
	var s netset.Set
	for _, u := range r.Upstreams {
		s = s.Union(netset.OfAddrs(u.Addr()))
	}
	for _, z := range r.Zones {
		for _, u := range z.Upstreams {
			s = s.Union(netset.OfAddrs(u.Addr()))
		}
	}
	return s
}

// Visible returns every address of the cluster that a gateway sees as a source.
func (p *Program) Visible() netset.Set {
	var s netset.Set
	for _, g := range p.Groups {
		if g.Visible {
			s = s.Union(g.Set)
		}
	}
	return s
}
