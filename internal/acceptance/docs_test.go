// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryCommandInTheDocumentationIsTrue runs every line that begins with "$ "
// in a console block of README.md and docs/, and compares what it prints with
// what stands below it. A line "..." stands for any lines, and " ..." at the end
// of a line for the rest of it. Commands of sh blocks are for other machines;
// of those only make targets and verbs are checked.
func TestEveryCommandInTheDocumentationIsTrue(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, _ := filepath.Glob(filepath.Join(root, "docs/*.md"))
	commands := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		name, _ := filepath.Rel(root, page)
		for _, c := range consoleCommands(mustRead(t, page)) {
			commands++
			t.Run(name+"/"+c.line, func(t *testing.T) {
				sh := exec.Command("bash", "-c", c.line)
				sh.Dir = root
				sh.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
				// The warning about the edition goes to standard error and is left out.
				out, _ := sh.CombinedOutput()
				got := staleWarning.ReplaceAllString(string(out), "")
				if !printed(strings.Split(strings.TrimRight(got, "\n"), "\n"), c.output) {
					t.Errorf("it prints:\n%s\nand not:\n%s", got, strings.Join(c.output, "\n"))
				}
			})
		}
	}
	if commands < 5 {
		t.Errorf("%d commands found", commands)
	}
	targets := mustRead(t, filepath.Join(root, "Makefile"))
	for _, m := range regexp.MustCompile("(?m)^make ([a-z]+)").FindAllStringSubmatch(mustRead(t, filepath.Join(root, "README.md")), -1) {
		if !strings.Contains(targets, "\n"+m[1]+":") {
			t.Errorf("README.md says make %s, which the Makefile does not know", m[1])
		}
	}
}

var staleWarning = regexp.MustCompile("(?m)^WARNING: edition .*\n?")

type command struct {
	line   string
	output []string
}

func consoleCommands(page string) []command {
	var out []command
	inside := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			out = append(out, command{line: line[2:]})
		default:
			last := &out[len(out)-1]
			last.output = append(last.output, line)
		}
	}
	return out
}

// printed reports whether got is what want describes.
func printed(got, want []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." {
		for i := range len(got) + 1 {
			if printed(got[i:], want[1:]) {
				return true
			}
		}
		return false
	}
	if len(got) == 0 {
		return false
	}
	begin, cut := strings.CutSuffix(want[0], " ...")
	same := got[0] == want[0] || cut && strings.HasPrefix(got[0], begin)
	return same && printed(got[1:], want[1:])
}
