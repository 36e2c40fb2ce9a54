// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package squid

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// HTTPOnly is the restriction that a proxy carries HTTP and CONNECT alone.
const HTTPOnly = "squid-http-only"

// Write translates the rules of p. Rules that a forward proxy cannot carry are
// left out and named.
func Write(p *program.Program) (conf []byte, left []flow.RuleID) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by sallyport from edition %s of the list. Squid sees what is asked of it\n", p.Edition.ID)
	b.WriteString("# as a proxy, and nothing else: close every other way out.\n")
	n := 0
	for _, r := range p.Rules {
		if !r.ByName() || r.Protocol != flow.ProtoHTTPS && r.Protocol != flow.ProtoHTTP {
			left = append(left, r.ID)
			continue
		}
		n++
		id := fmt.Sprintf("r%d", n)
		fmt.Fprintf(&b, "\n# %s: %s\n", r.ID, oneLine(r.Origins[0].Purpose))
		fmt.Fprintf(&b, "acl %s_src src %s\n", id, strings.Join(r.Sources.Texts(), " "))
		name := ""
		if exact, ok := r.Pattern.Name(); ok {
			fmt.Fprintf(&b, "acl %s_dst dstdomain -n %s\n", id, exact)
			name = id + "_dst"
		} else {
			// ".x" would take x itself, which *.x does not.
			apex, _ := r.Pattern.Apex()
			fmt.Fprintf(&b, "acl %s_dst dstdomain -n .%s\nacl %s_apex dstdomain -n %s\n", id, apex, id, apex)
			name = fmt.Sprintf("%s_dst !%s_apex", id, id)
		}
		fmt.Fprintf(&b, "acl %s_port port %s\n", id, strings.Join(r.Ports.Texts(), " "))
		method := "CONNECT"
		if r.Protocol == flow.ProtoHTTP {
			method = "!CONNECT"
		}
		fmt.Fprintf(&b, "http_access allow %s %s_src %s_port %s\n", method, id, id, name)
	}
	b.WriteString("\nhttp_access deny all\n")
	return []byte(b.String()), left
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
