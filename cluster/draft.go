// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Draft is a description that is being written: what is known of a cluster, and
// what is not. Nothing in it was guessed, and nothing of it is checked; Parse
// does that with what YAML returns.
type Draft struct {
	Source string // where the known values come from, such as "az aks show"
	Lacks  []Lack // what is not known, in the order of the file

	known map[string][]string // by dotted key, as text
	notes map[string][]string // by dotted key: what az told that has no place in a description; comments below the key
	azure azureCluster        // what the commands of Lacks are about; zero when unknown
}

// Lack is a value that a draft does not have.
type Lack struct {
	Key      string // such as "network.nodes"
	What     string // what it is, for people
	Command  string // what prints it
	Required bool   // whether Parse refuses a description without it
}

// InitFlags is what the user of "sallyport init" says about a cluster. Zero
// values say nothing.
type InitFlags struct {
	Cloud              string
	Location           string
	Edition            string
	AsOf               string // a day, instead of Edition
	APIServerName      string
	APIServerAddresses []string
	Private            *bool
	ByAddress          *bool
	Tunnel             string
	Plugin             string
	Mode               string
	Nodes              []string // prefixes of the node subnets
	Pods               []string
	Services           []string
	PodSNAT            *bool
	OutboundType       string
	OS                 []string
	GPU                *bool
	ImageDate          string // of the oldest node image
	AddOns             []string
	DevSpacesName      string
	DNSServers         []string
	AllowPrivate       []string
	LoadBalancers      []string
	GatewayPrivate     string
	GatewayPublic      string
}

// FromFlags returns the draft of what flags say.
func FromFlags(flags InitFlags) *Draft {
	d := &Draft{Source: "flags", known: map[string][]string{}}
	d.set("provider", "aks")
	d.Fill(flags)
	return d
}

// Fill adds what flags say. It wins over what was known, since the user said it.
func (d *Draft) Fill(flags InitFlags) {
	d.set("cloud", flags.Cloud)
	d.set("location", flags.Location)
	d.set("edition", flags.Edition)
	d.set("asOf", flags.AsOf)
	d.set("apiServer.name", flags.APIServerName)
	d.set("apiServer.addresses", flags.APIServerAddresses...)
	d.setBool("apiServer.private", flags.Private)
	d.setBool("apiServer.byAddress", flags.ByAddress)
	d.set("tunnel", flags.Tunnel)
	d.set("network.plugin", flags.Plugin)
	d.set("network.mode", flags.Mode)
	d.set("network.nodes", flags.Nodes...)
	d.set("network.pods", flags.Pods...)
	d.set("network.services", flags.Services...)
	d.setBool("network.podSNAT", flags.PodSNAT)
	d.set("network.outboundType", flags.OutboundType)
	d.set("nodes.os", flags.OS...)
	d.setBool("nodes.gpu", flags.GPU)
	d.set("nodes.imageDate", flags.ImageDate)
	d.set("addOns", flags.AddOns...)
	d.set("devSpaces.name", flags.DevSpacesName)
	d.set("dns.servers", flags.DNSServers...)
	d.set("allowPrivate", flags.AllowPrivate...)
	d.set("loadBalancers", flags.LoadBalancers...)
	d.set("gateway.privateAddress", flags.GatewayPrivate)
	d.set("gateway.publicAddress", flags.GatewayPublic)
	d.lack()
}

// set records what is known of key; no values, or one that is empty, say
// nothing.
func (d *Draft) set(key string, values ...string) {
	if len(values) > 0 && values[0] != "" {
		d.known[key] = slices.Clone(values)
	}
}

func (d *Draft) setBool(key string, v *bool) {
	if v != nil {
		d.known[key] = []string{strconv.FormatBool(*v)}
	}
}

// Problems returns what Parse, told that d.YAML() is called name, refuses in it,
// without what the draft says it lacks.
func (d *Draft) Problems(name string) Errors {
	_, err := Parse(name, d.YAML())
	var all Errors
	errors.As(err, &all)
	return slices.DeleteFunc(all, func(p Problem) bool {
		return strings.HasPrefix(p.Msg, isMissing) && slices.ContainsFunc(d.Lacks, func(l Lack) bool {
			return l.Required && (l.Key == p.Key || strings.HasPrefix(l.Key, p.Key+"."))
		})
	})
}

// Known returns the dotted keys the draft has a value for, sorted.
func (d *Draft) Known() []string { return slices.Sorted(maps.Keys(d.known)) }

// YAML writes the draft as cluster.yaml. What it lacks stands there as a
// comment with the command that tells it.
func (d *Draft) YAML() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# A cluster description for Sallyport, written from %s.\n", oneLine(d.Source))
	if len(d.Lacks) > 0 {
		b.WriteString("# Lines with \"asked for\" name the command that tells the value of the key below them:\n" +
			"# write it there and remove the \"# \". Without a line marked as required, it is refused.\n")
	}
	w := draftWriter{Draft: d, lacks: map[string]Lack{}}
	for _, l := range d.Lacks {
		w.lacks[l.Key] = l
	}
	w.block(&b, reflect.TypeFor[rawCluster](), "", "")
	b.WriteString(`
# What you allow beyond what the cluster requires.
# allow:
#   - name: "*.example.com"
#     ports: https
#     reason: orders are sent to the shop's supplier
#     until: 2030-12-31
`)
	return b.Bytes()
}

type draftWriter struct {
	*Draft
	lacks map[string]Lack
}

// block writes the keys of t that are known or asked for.
func (w *draftWriter) block(b *bytes.Buffer, t reflect.Type, key, indent string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("json")
		if name == "-" || f.Type.Kind() == reflect.Slice {
			continue
		}
		k := join(key, name)
		if f.Type.Kind() == reflect.Struct && isBlock(f.Type) {
			w.nested(b, f, k, name)
			continue
		}
		values, known := w.known[k]
		lack, asked := w.lacks[k]
		switch {
		case known:
			if key == "" {
				fmt.Fprintf(b, "\n# %s\n", f.Tag.Get("doc"))
			}
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, literal(f.Type, values))
		case asked:
			if key == "" {
				b.WriteByte('\n')
			}
			need := ""
			if lack.Required {
				need = " (required)"
			}
			fmt.Fprintf(b, "%s# %s%s\n", indent, oneLine(lack.What), need)
			fmt.Fprintf(b, "%s# asked for: %s\n", indent, singleLine(lack.Command))
			fmt.Fprintf(b, "%s# %s:\n", indent, name)
		}
		for _, note := range w.notes[k] {
			fmt.Fprintf(b, "%s# %s\n", indent, singleLine(note))
		}
	}
}

// nested writes a block with its comment. When nothing in it is known, its own
// key is a comment too, since an empty block is refused.
func (w *draftWriter) nested(b *bytes.Buffer, f reflect.StructField, key, name string) {
	var inner bytes.Buffer
	w.block(&inner, f.Type, key, "  ")
	if inner.Len() == 0 {
		return
	}
	mark := "# "
	for k := range w.known {
		if strings.HasPrefix(k, key+".") {
			mark = ""
		}
	}
	fmt.Fprintf(b, "\n# %s\n%s%s:\n%s", f.Tag.Get("doc"), mark, name, &inner)
}

// isBlock reports whether t is a mapping rather than a scalar or list of them.
func isBlock(t reflect.Type) bool {
	return t != reflect.TypeFor[text]() && t != reflect.TypeFor[texts]() && t != reflect.TypeFor[toggle]()
}

// literal writes values as YAML.
func literal(t reflect.Type, values []string) string {
	if t != reflect.TypeFor[texts]() {
		return quoted(values[0], t == reflect.TypeFor[text]())
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = quoted(v, true)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// plain is text that YAML reads as the string it looks like.
var plain = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9-]*(\.[a-zA-Z0-9-]+)*|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(/[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2})$`)

// quoted writes one scalar: a JSON string is a YAML string too.
func quoted(s string, isText bool) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		if !isText {
			return s
		}
	default:
		if plain.MatchString(s) {
			return s
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSpace(b.String())
}

// singleLine keeps a command whole but in one line.
func singleLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
