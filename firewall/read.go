// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/firewall/cilium"
	"github.com/sallyport/sallyport/firewall/networkpolicy"
	"github.com/sallyport/sallyport/firewall/nftables"
	"github.com/sallyport/sallyport/firewall/panos"
	"github.com/sallyport/sallyport/firewall/sheet"
	"github.com/sallyport/sallyport/firewall/squid"
	"github.com/sallyport/sallyport/ruleset"
)

// Options are what the files of a firewall alone do not tell.
type Options struct {
	Dialect  string               // name of a Reader, "" to tell it by the files
	Values   map[string]string    // of parameters and variables, which win over the files
	Tags     *catalog.ServiceTags // nil: service tags stay unknown
	Location string               // of the cluster, for parameters that name one
}

// Reader is a language in which firewalls that somebody else made are read.
type Reader struct {
	Name  string
	Title string
	// claims reports whether a file is surely in this language.
	claims func(name string, data []byte) bool
	read   func(files []File, opt Options) (*ruleset.RuleSet, error)
}

// Readers lists every language that is read. One that claims no file by its
// content is the last to be asked.
var Readers = []Reader{
	{"squid", "squid.conf", has(`(?m)^[ \t]*http_access[ \t]+(allow|deny)[ \t]`), one(squid.Read)},
	{"cilium", "CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy", has(`(?m)^apiVersion:[ \t]*["']?cilium\.io/`),
		one(func(name string, data []byte) (*ruleset.RuleSet, error) {
			return cilium.Read(name, data, cilium.Options{})
		})},
	{"networkpolicy", "Kubernetes ClusterNetworkPolicy", has(`(?m)^apiVersion:[ \t]*["']?policy\.networking\.k8s\.io/`),
		one(func(name string, data []byte) (*ruleset.RuleSet, error) {
			return networkpolicy.Read(name, data, networkpolicy.Options{})
		})},
	{"nftables", "nft files and what nft list ruleset prints", has(`(?m)^[ \t]*(add[ \t]+)?table[ \t]+(ip6?|inet|bridge|netdev|arp)[ \t]`), one(nftables.Read)},
	{"panos", "PAN-OS set commands", has(`(?m)^set[ \t].*\bsecurity[ \t]+rules[ \t]`), one(panos.Read)},
	{"sheet", "request sheet of sallyport render, CSV", has(`^(\x{feff})?id,from,to,`), one(sheet.Read)},
	{"azure-firewall", "ARM JSON, az -o json, Terraform, tfvars, az commands, Bicep", nil, readAzure},
}

// has claims files in whose beginning a pattern stands.
func has(pattern string) func(string, []byte) bool {
	re := regexp.MustCompile(pattern)
	return func(_ string, data []byte) bool { return re.Match(data[:min(len(data), 1<<20)]) }
}

// one reads a language whose configuration is one file.
func one(read func(name string, data []byte) (*ruleset.RuleSet, error)) func([]File, Options) (*ruleset.RuleSet, error) {
	return func(files []File, _ Options) (*ruleset.RuleSet, error) {
		if len(files) > 1 {
			return nil, fmt.Errorf("%s: only one file is read in this language, and %s is given as well", files[1].Name, files[0].Name)
		}
		return read(files[0].Name, files[0].Data)
	}
}

func readAzure(files []File, opt Options) (*ruleset.RuleSet, error) {
	var in []azure.File
	for _, f := range files {
		in = append(in, azure.File(f))
	}
	return azure.Read(in, azure.Options{Values: opt.Values, Tags: opt.Tags, Location: opt.Location})
}

// Read reads files that belong together as one firewall, in the language that
// opt names or that the first file is in. A file that cannot be read at all is
// an error; a part that is not understood is an Unknown of the rules.
func Read(files []File, opt Options) (*ruleset.RuleSet, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("no file is given")
	}
	for _, f := range files {
		if len(bytes.TrimSpace(f.Data)) == 0 {
			return nil, fmt.Errorf("%s: is empty", f.Name)
		}
	}
	var names []string
	for _, r := range Readers {
		names = append(names, r.Name)
		if r.Name == opt.Dialect || opt.Dialect == "" && (r.claims == nil || r.claims(files[0].Name, files[0].Data)) {
			return r.read(files, opt)
		}
	}
	return nil, fmt.Errorf("dialect %q is not one of %s", opt.Dialect, strings.Join(names, ", "))
}
