// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"regexp"
	"strings"
)

// fence is a part of a document in which commands stand.
type fence struct {
	from, to int
	quoted   bool // every line begins with ">"
}

var fenceLine = regexp.MustCompile("^([ \t>]*)(```+|~~~+)[ \t]*([^ \t\r\n`]*)")

// fences returns the parts of a file that may hold commands: all of a script,
// or of a Markdown document its code fences in a language of shells.
func fences(s *source) []fence {
	name := strings.ToLower(s.name)
	if !strings.HasSuffix(name, ".md") && !strings.HasSuffix(name, ".markdown") && !bytes.Contains(s.data, []byte("\n```")) {
		return []fence{{0, len(s.data), false}}
	}
	var out []fence
	var open *fence
	mark := ""
	for i, start := range s.lines {
		end := len(s.data)
		if i+1 < len(s.lines) {
			end = s.lines[i+1]
		}
		m := fenceLine.FindSubmatch(s.data[start:end])
		switch {
		case m == nil:
		case open != nil && bytes.HasPrefix(m[2], []byte(mark)) && len(m[3]) == 0:
			open.to = start
			out = append(out, *open)
			open, mark = nil, ""
		case mark != "" && bytes.HasPrefix(m[2], []byte(mark)) && len(m[3]) == 0:
			mark = ""
		case mark == "":
			mark = string(m[2])
			if isShell(string(m[3])) {
				open = &fence{from: end, quoted: bytes.Contains(m[1], []byte(">"))}
			}
		}
	}
	if open != nil {
		open.to = len(s.data)
		out = append(out, *open)
	}
	return out
}

func isShell(language string) bool {
	l := strings.ToLower(strings.Trim(language, "{}."))
	switch l {
	case "", "bash", "sh", "shell", "zsh", "console", "azcli", "shell-session", "powershell", "azurepowershell", "pwsh":
		return true
	}
	return strings.HasPrefix(l, "azurecli") || strings.HasPrefix(l, "azure-cli") || strings.HasPrefix(l, "bash-")
}
