// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package audit compares a foreign firewall with what a cluster needs, as sets
// of flows, and says what is missing, too wide, obsolete or dead, each with its
// place in the file, a flow that shows it, and the requirement that proves it.
package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// Check is a kind of finding.
type Check string

// Checks, in the order in which findings are shown.
const (
	Missing   Check = "missing"   // the cluster needs it and nothing lets it through
	Void      Check = "void"      // a network rule that decides before the rules by name do
	TooWide   Check = "too-wide"  // lets through more than anything asks for
	Misspelt  Check = "misspelt"  // a slip of the pen away from a need
	NoSource  Check = "no-source" // not limited to the cluster's own addresses
	Obsolete  Check = "obsolete"  // left the list
	NotNeeded Check = "not-needed"
	Shadowed  Check = "shadowed" // an earlier rule decides for all of it
	Duplicate Check = "duplicate"
	Dead      Check = "dead"    // can never match
	Expired   Check = "expired" // an exception of the owner's whose time is over
	Inspected Check = "tls-inspection"
	NoProxy   Check = "dns-proxy" // names in network rules without DNS proxy
	Routing   Check = "asymmetric-routing"
	Subnet    Check = "subnet-filtered" // a security group stops traffic within the cluster's subnet
	Group     Check = "security-group"  // a security group stops what the cluster needs
	Overlap   Check = "overlap"         // an FQDN tag lets it through already, in all likelihood
	Literal   Check = "literal-source"  // written out where other rules take it from a parameter
	Misnamed  Check = "misnamed"        // named for everything and for a few
	Assumed   Check = "assumed"         // only what the file does not show may let it through
)

var order = []Check{Void, Missing, TooWide, Misspelt, NoSource, Obsolete, NotNeeded, Shadowed, Duplicate, Dead, Expired, Inspected, NoProxy, Routing, Subnet, Group, Overlap, Literal, Misnamed, Assumed}

var meanings = map[Check]string{
	Void:      "A network rule lets everything through before the rules by name are asked",
	Missing:   "The cluster needs it and nothing lets it through",
	TooWide:   "Lets through more than anything asks for",
	Misspelt:  "Nearly what the cluster needs, and somebody else's name",
	NoSource:  "Not limited to the cluster's own addresses",
	Obsolete:  "Left the published list",
	NotNeeded: "On the list, but for a feature this cluster does not have",
	Shadowed:  "An earlier rule decides for all of it",
	Duplicate: "Stands there twice",
	Dead:      "Can never match",
	Expired:   "An exception of the description's whose time is over is still open",
	Inspected: "TLS of the API server is opened and inspected, which breaks its client certificates",
	NoProxy:   "Names in network rules need the firewall's DNS proxy",
	Routing:   "Replies of a public load balancer leave by the default route and are dropped",
	Subnet:    "A network security group stops traffic within the cluster's subnet, which AKS does not support",
	Group:     "A network security group stops what the cluster needs before the firewall sees it",
	Overlap:   "The FQDN tag for AKS lets it through already, in all likelihood",
	Literal:   "A source is written out where other rules take it from a parameter",
	Misnamed:  "The rule's name promises everything and it allows a few names",
	Assumed:   "Only what the files do not show may let it through",
}

// Checks lists every check, in the order in which findings are shown.
func Checks() []Check { return slices.Clone(order) }

// Meaning says what a finding of the check means.
func (c Check) Meaning() string { return meanings[c] }

// Severity says how bad a finding is.
type Severity string

// Severities.
const (
	Critical Severity = "critical" // nodes do not start, or the firewall is open
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info" // could not be decided, or only untidy
)

// Finding is one thing that is wrong with the firewall, or could not be decided.
type Finding struct {
	ID       string // stable under renaming of rules
	Check    Check
	Severity Severity
	Pos      ruleset.Position // zero for what is nowhere in the files
	Rule     string           // where people find it
	Term     string           // what it is about, as written
	Text     string           // one plain sentence
	Witness  string           // a flow that shows it, "" when none is meant
	Because  string           // requirement or rule that proves it
	Fix      string           // what to write or to remove, in words
	Edits    []Edit           // the same in the files, nil when it is not that simple
	Unknown  bool             // not decided: no pass and no fault
	Need     string           // id of the program's rule that is missing, "" when none is
}

// Report is the answer about one firewall.
type Report struct {
	Edition program.Edition
	Files   []string
	Dialect string
	Rules   int
	Needed  int // rules of the program
	Closed  int // of them, those that are not let through
	Assumed int // of them, those that only unknown parts may let through
	// AssumedRules are their ids.
	AssumedRules []flow.RuleID
	Extra        int // terms that let through what the cluster does not need
	Findings     []Finding
	Unknown      []ruleset.Unknown
	Notes        []ruleset.Statement // what the files say beside their rules

	auditor *auditor // knows the files, for the edits
}

// Run compares a firewall with a program.
func Run(rules *ruleset.RuleSet, p *program.Program) Report {
	a := &auditor{rules: rules, p: p, effect: rules.Evaluate(), said: make(map[string]bool), ids: make(map[string]int), gone: make(map[ruleset.Position]bool), now: time.Now()}
	a.anyone = a.effect
	if slices.ContainsFunc(rules.Rules, sourceUnknown) {
		a.anyone = widened(rules, nil).Evaluate()
	}
	a.r = Report{Edition: p.Edition, Files: rules.Files, Dialect: rules.Dialect, Rules: len(rules.Rules), Unknown: slices.Clone(rules.Unknown), Notes: rules.Notes}
	for _, r := range rules.Rules {
		a.r.Unknown = append(a.r.Unknown, r.Unknown...)
	}
	a.wants()
	a.tunnel = tunnelPorts(p.NotAsked)
	a.void()
	if len(rules.Rules) > 0 || len(rules.Routes)+len(rules.Security) == 0 {
		a.missing()
	}
	a.terms()
	a.shadowed()
	a.besides()
	a.dead()
	a.inspected()
	a.proxy()
	a.routing()
	a.groups()
	a.misspelt()
	a.untidy()
	slices.SortStableFunc(a.r.Findings, func(x, y Finding) int {
		return cmp.Or(slices.Index(order, x.Check)-slices.Index(order, y.Check),
			cmp.Compare(x.Pos.File, y.Pos.File), x.Pos.Line-y.Pos.Line, x.Pos.Col-y.Pos.Col)
	})
	a.r.auditor = a
	return a.r
}

type auditor struct {
	rules   *ruleset.RuleSet
	p       *program.Program
	effect  ruleset.Effect
	anyone  ruleset.Effect // as if rules whose source is not known were for everybody
	needs   []need
	needed  flowset.Set               // union of needs
	voids   []ruleset.Rule            // network rules that decide before the rules by name
	gone    map[ruleset.Position]bool // terms that some patch takes away
	expired []need                    // exceptions whose time is over
	now     time.Time
	tunnel  []program.NotAsked // ports of the old tunnel, those listed for others first
	said    map[string]bool
	ids     map[string]int
	lines   map[string]ruleset.Lines // where the lines of a file begin
	times   map[ruleset.Position]int // how many rules and destinations stand there
	r       Report
}

// among reports whether r is one of rules.
func among(rules []ruleset.Rule, r ruleset.Rule) bool {
	return slices.ContainsFunc(rules, func(o ruleset.Rule) bool { return o.Pos == r.Pos && o.Name == r.Name })
}

// sourceUnknown reports whether the source is all that is not known of a rule.
func sourceUnknown(r ruleset.Rule) bool {
	for _, u := range r.Unknown {
		if u.Part != "source" {
			return false
		}
	}
	return len(r.Unknown) > 0
}

// widened returns rules as if those whose source alone is unknown were for
// everybody, and without some.
func widened(rules *ruleset.RuleSet, without []ruleset.Rule) *ruleset.RuleSet {
	out := *rules
	out.Rules = nil
	for _, r := range rules.Rules {
		if among(without, r) {
			continue
		}
		if sourceUnknown(r) {
			terms := slices.Clone(r.Terms)
			for i := range terms {
				terms[i].Sure = withoutSource(terms[i].Maybe)
			}
			r.Terms = terms
		}
		out.Rules = append(out.Rules, r)
	}
	return &out
}

// find adds a finding. key is what makes it the same finding when the file
// changes elsewhere.
func (a *auditor) find(f Finding, key string) {
	sum := sha256.Sum256([]byte(string(f.Check) + "\x00" + key))
	f.ID = string(f.Check) + "-" + hex.EncodeToString(sum[:4])
	a.ids[f.ID]++
	if n := a.ids[f.ID]; n > 1 {
		f.ID = fmt.Sprintf("%s-%d", f.ID, n)
	}
	a.r.Findings = append(a.r.Findings, f)
}

// Faults returns the findings that are faults and not questions.
func (r Report) Faults() int {
	n := 0
	for _, f := range r.Findings {
		if !f.Unknown && f.Severity != Info {
			n++
		}
	}
	return n
}

// Undecided reports whether something could not be decided.
func (r Report) Undecided() bool {
	return len(r.Unknown) > 0 || slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Unknown })
}
