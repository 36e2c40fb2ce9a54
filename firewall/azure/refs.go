// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// resourceID is the id of a resource by type and names. What it is in Azure is
// not known here, but the resource it leads to may be in the files.
func resourceID(pos ruleset.Position, args []value) value {
	v := unresolved(pos, "resourceId()", "an id that is known only when deployed")
	for i, a := range args {
		if !a.isScalar() || !strings.Contains(strings.ToLower(a.text), "microsoft.") || !strings.Contains(a.text, "/") {
			continue
		}
		var names []string
		for _, n := range args[i+1:] {
			names = append(names, n.inText())
		}
		v.ref = reference(a.text, strings.Join(names, "/"))
		v.text = lastSegment(a.text) + "/" + strings.Join(names, "/")
		break
	}
	return v
}

// reference is what a resource is called by its type and name.
func reference(typ, name string) string {
	return strings.ToLower(lastSegment(typ) + "/" + name)
}

func lastSegment(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// refOf returns what a value refers to: by resourceId() or a symbol, or as a
// whole id ".../providers/Microsoft.Network/ipGroups/name", or by a bare name
// as a resource of the given type.
func refOf(v value, typ string) string {
	switch {
	case v.ref != "":
		return v.ref
	case !v.isScalar():
		return ""
	}
	if rest, ok := behind(v.text, "/"+typ+"/"); ok {
		return reference(typ, rest)
	}
	return reference(typ, v.text)
}

// behind returns what is behind the first part of s, in whatever case it is
// written. (In lower case s may have another length.)
func behind(s, part string) (rest string, ok bool) {
	for i := 0; i+len(part) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(part)], part) {
			return s[i+len(part):], true
		}
	}
	return "", false
}
