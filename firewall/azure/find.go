// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// priority is a number that orders groups and collections, low first.
type priority struct {
	n     int
	known bool
	why   string
}

// collection is a rule collection without its rules.
type collection struct {
	pos      ruleset.Position
	name     string
	group    string
	policy   string // what the policy is called, "" for a classic firewall
	first    priority
	second   priority
	kind     ruleset.Kind // "" when each rule says its own
	action   ruleset.Action
	doubt    string // why the action is not known
	actionIs string // the action as written
	when     string // why it may not be there
}

// draft is a rule with its collection, before its meaning is looked at.
type draft struct {
	in   *collection
	kind ruleset.Kind
	val  value
}

// finder walks trees and picks out, by type and by shape, what firewalls are
// made of.
type finder struct {
	r      *reader
	drafts []draft
	groups map[string]value  // IP groups by what they are called
	bases  map[string]string // policy -> the policy it inherits from
	routes []ruleset.Route
	dns    dnsFacts

	security []ruleset.SecurityRule
}

// place is where the walk stands.
type place struct {
	policy string
	group  string
	first  priority
	when   string
	typ    string
	nsg    string // network security group
}

func (f *finder) walk(v value, at place, depth int) {
	f.r.work++
	if depth > maxDepth || f.r.work > 2*maxWork {
		f.r.noteOnce(v.pos, "nested too deeply or too long: the rest was not read")
		f.r.notUnderstood(v.pos, "file", "", "nested too deeply or too long to be read")
		return
	}
	if v.when != "" {
		at.when = v.when
	}
	switch v.kind {
	case list:
		for _, e := range v.items {
			f.walk(e, at, depth+1)
		}
	case object:
		f.object(v, at, depth)
	}
}

func (f *finder) object(v value, at place, depth int) {
	typ := v.typ
	if typ == "" {
		if t := strings.ToLower(v.textOf("type")); strings.HasPrefix(t, "microsoft.") {
			typ = t
		}
	}
	name := v.textOf("name")
	if typ != "" {
		at.typ = typ
	}
	switch last := lastSegment(typ); last {
	case "ipgroups", "azurermipgroup", "azurermipgroupcidr":
		f.ipGroup(v, reference("ipgroups", name))
		return
	case "firewallpolicies", "azurermfirewallpolicy":
		at.policy = reference("firewallpolicies", name)
		for _, id := range v.ids {
			f.bases[id] = at.policy // another name of the same policy
		}
		f.base(v, at.policy)
		f.policyDNS(v)
	case "azurefirewalls", "azurermfirewall":
		f.firewallDNS(v)
	case "networksecuritygroups", "azurermnetworksecuritygroup":
		at.nsg = lastSegment(name)
	}
	if typ == "" && v.has("firewallpolicydns") { // the module of Azure Verified Modules
		f.policyDNS(v)
	}
	if isSecurityRule(v) {
		f.securityRule(v, at.nsg)
		return
	}
	if _, ok := v.get("nexthoptype"); ok {
		f.route(v)
		return
	}
	at = f.enter(v, at, typ, name)
	if kind, ok := collectionKind(lastSegment(typ)); ok && typ != "" && v.has("rules") {
		f.collection(v, kind, at)
		return
	}
	for _, fl := range v.all() {
		kind, isCollection := collectionKind(fl.name)
		switch {
		case fl.name == "lifecycle":
			f.drift(fl.val)
		case fl.name == "dependson" || fl.name == "type" || fl.name == "outputs":
		case fl.name == "ipgroups":
			f.ipGroups(fl.val)
		case isCollection:
			f.collections(fl.val, kind, at, fl.key)
		case fl.name == "rulecollections":
			f.collections(fl.val, "", at, fl.key)
		default:
			f.walk(fl.val, at, depth+1)
		}
	}
}

// enter returns the place within v when v is a rule collection group.
func (f *finder) enter(v value, at place, typ, name string) place {
	last := lastSegment(typ)
	isGroup := last == "rulecollectiongroups" || last == "azurermfirewallpolicyrulecollectiongroup" || v.has("rulecollections")
	prefix := ""
	for _, fl := range v.fields {
		if kind, ok := collectionKind(fl.name); ok && kind != "" && strings.HasPrefix(fl.name, "firewallpolicyrulecollectiongroup") {
			isGroup, prefix = true, "firewallpolicyrulecollectiongroup" // the module of Azure Verified Modules
		}
	}
	if !isGroup {
		if _, ok := v.get("priority"); !ok || !v.hasCollections() {
			return at
		}
	}
	at.first = v.priority(prefix + "priority")
	at.group = lastSegment(name)
	if prefix != "" {
		at.group = v.textOf(prefix + "name")
	}
	for _, key := range []string{prefix + "firewallpolicyid", "firewallpolicyid", "parent", "policyname", "firewallpolicyname"} {
		if p, ok := v.get(key); ok {
			at.policy = refOf(p, "firewallpolicies")
		}
	}
	if id, ok := v.get("id"); ok && id.isScalar() { // as az prints it
		if rest, ok := behind(id.text, "/firewallpolicies/"); ok {
			policy, _, _ := strings.Cut(rest, "/")
			at.policy = reference("firewallpolicies", policy)
		}
	}
	if policy, _, ok := strings.Cut(name, "/"); ok && last == "rulecollectiongroups" {
		at.policy = reference("firewallpolicies", policy)
	}
	return at
}

func (v value) has(name string) bool {
	_, ok := v.get(name)
	return ok
}

func (v value) hasCollections() bool {
	for _, fl := range v.all() {
		if kind, ok := collectionKind(fl.name); ok && kind != "" {
			return true
		}
	}
	return false
}

// priority returns a field as a priority.
func (v value) priority(name string) priority {
	p, ok := v.get(name)
	if !ok || p.kind == null {
		return priority{why: "no priority is given"}
	}
	n, err := strconv.Atoi(p.text)
	if !p.known() || err != nil {
		why := p.doubt()
		if why == "" {
			why = "the priority is no number"
		}
		return priority{why: why}
	}
	return priority{n: n, known: true}
}

// collectionKind tells from a key or a resource type whether it holds rule
// collections, and of which kind. Modules put their own words around the name.
func collectionKind(name string) (ruleset.Kind, bool) {
	for _, end := range []string{"s", "definitions", "definition", "map", "list"} {
		if t := strings.TrimSuffix(name, end); t != name && strings.HasSuffix(strings.TrimSuffix(t, "s"), "rulecollection") {
			name = strings.TrimSuffix(t, "s")
			break
		}
	}
	for suffix, kind := range map[string]ruleset.Kind{
		"applicationrulecollection": ruleset.Application,
		"networkrulecollection":     ruleset.Network,
		"natrulecollection":         ruleset.NAT,
	} {
		if strings.HasSuffix(name, suffix) {
			return kind, true
		}
	}
	return "", false
}

// drift notes that Terraform leaves changes made elsewhere as they are.
func (f *finder) drift(v value) {
	for _, l := range v.entries() {
		ignored, _ := l.get("ignorechanges")
		for _, e := range ignored.entries() {
			name := trimHole(e.text)
			if _, ok := collectionKind(canonical(name)); ok || name == "all" {
				f.r.notes = append(f.r.notes, ruleset.Statement{Pos: e.pos,
					Text: "Terraform ignores changes of " + name + ": what somebody changes by hand is never set right"})
			}
		}
	}
}

// base records which policy a policy inherits from: the parent's rules come
// first within each kind.
func (f *finder) base(v value, policy string) {
	b, ok := v.get("basepolicy")
	if ok && b.kind == object {
		b, _ = b.get("id")
	}
	if !ok {
		b, ok = v.get("basepolicyid")
	}
	if ref := refOf(b, "firewallpolicies"); ok && ref != "" && b.kind != null {
		f.bases["base of "+policy] = ref
	}
}
