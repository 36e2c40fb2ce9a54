// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package repotest holds the rules about this repository: which package may
// import which, and what every file must or must not hold.
package repotest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport"

// row is a row of the layout: its packages import from rows above, and from
// their own row where also says so.
type row struct {
	name     string
	packages []string
	also     map[string][]string // package -> packages of the same row, with the reason in why
	why      string
}

var layout = []row{
	{name: "engine", packages: []string{"internal/interval", "internal/linefile", "internal/brief", "internal/meant"}, why: "ranges of anything, lines of anything in a file, any error in one line, and which word was meant"},
	{
		name: "algebra", packages: []string{"dnsname", "netset", "portset", "nameset", "flowset"},
		also: map[string][]string{"nameset": {"dnsname"}, "flowset": {"dnsname", "netset", "portset", "nameset"}},
		why:  "sets know nothing of what they are sets for; a set of flows is made of the others",
	},
	{
		name: "words", packages: []string{"flow", "program"}, also: map[string][]string{"program": {"flow"}},
		why: "a program speaks of flows; a flow knows no rule",
	},
	{
		name: "sources", packages: []string{"cluster", "catalog"},
		why: "neither knows the other, so that a condition is data and not code",
	},
	{
		name: "compiler", packages: []string{"compile", "catalog/importer"},
		why: "compile is the only package that sees both sources; an importer reads what others wrote into the words of the catalog",
	},
	{
		name: "foreign rules", packages: []string{"ruleset", "firewall", "firewall/*", "audit"},
		also: map[string][]string{"firewall": {"ruleset", "firewall/*"}, "firewall/*": {"ruleset", "firewall/manifest"}, "audit": {"ruleset"}},
		why:  "a dialect reads into rule sets and writes programs, and knows no cluster; two of them read Kubernetes manifests; an audit knows no dialect",
	},
	{
		name:     "outlets",
		packages: []string{"decide", "flowlog", "nametable", "tlshello", "httphead", "resolver", "echprobe"},
		also:     map[string][]string{"resolver": {"decide", "flowlog"}},
		why:      "an outlet sees a program, never where it came from; the resolver decides and records",
	},
	{
		name: "running", packages: []string{"service"}, why: "what a process does beside enforcing, whatever its way to enforce",
	},
	{
		name: "world of a proxy", packages: []string{"proxypath/proxytest"},
		why: "servers and clients around a proxy under test, for those who have one",
	},
	{
		name: "enforcers", packages: []string{"kernelpath", "proxypath", "connect"}, also: map[string][]string{"connect": {"proxypath"}},
		why: "ways to enforce stand side by side; a tunnel and a request to a known proxy share the sessions of proxypath",
	},
	{
		name: "examples", packages: []string{"examples", "internal/exampletest"}, also: map[string][]string{"internal/exampletest": {"examples"}},
		why: "descriptions, which import nothing, and what compiles them for tests",
	},
	{name: "vectors", packages: []string{"internal/vectors"}, why: "the flows that every outlet must agree about"},
	{name: "wholes", packages: []string{"gateway", "lab", "lab/*"}, also: map[string][]string{"lab": {"lab/*"}, "lab/*": {"lab/*"}}},
	{name: "commands", packages: []string{"cmd/*"}},
	{name: "acceptance", packages: []string{"internal/acceptance"}, why: "tests alone: they type what users type"},
}

// forbidden names arrows that the rows would allow and the design does not.
var forbidden = []struct{ from, to, why string }{
	{"decide", "cluster", "an outlet knows no source"},
	{"decide", "catalog", "an outlet knows no source"},
	{"kernelpath", "cluster", "an outlet knows no source"},
	{"kernelpath", "catalog", "an outlet knows no source"},
	{"kernelpath", "compile", "an outlet knows no source"},
	{"proxypath", "cluster", "an outlet knows no source"},
	{"proxypath", "catalog", "an outlet knows no source"},
	{"connect", "cluster", "an outlet knows no source"},
	{"connect", "catalog", "an outlet knows no source"},
	{"connect", "compile", "an outlet knows no source"},
	{"connect", "kernelpath", "it is for hosts without privileges"},
	{"connect", "gateway", "it is for hosts without privileges"},
	{"resolver", "cluster", "an outlet knows no source"},
	{"resolver", "catalog", "an outlet knows no source"},
	{"gateway", "cluster", "the gateway enforces a program, whoever described it"},
	{"gateway", "catalog", "the gateway enforces a program, whoever wrote the list"},
	{"flowlog", "cluster", "an outlet knows no source"},
}

// goFiles calls f with every Go file of the repository, by its path from the
// root, and fails when there is none.
func goFiles(t *testing.T, f func(path string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			n++
			rel, _ := filepath.Rel("../..", path)
			f(rel)
		}
		return nil
	})
	if err != nil || n < 50 {
		t.Fatalf("found %d Go files, %v", n, err)
	}
}

// position returns the row a package stands in, -1 when it stands in none.
func position(pkg string) int {
	return slices.IndexFunc(layout, func(r row) bool { return slices.ContainsFunc(r.packages, matches(pkg)) })
}

func matches(pkg string) func(string) bool {
	return func(pattern string) bool {
		if dir, wild := strings.CutSuffix(pattern, "/*"); wild {
			return strings.HasPrefix(pkg, dir+"/")
		}
		return pkg == pattern
	}
}

func TestImportsPointOneWay(t *testing.T) {
	goFiles(t, func(path string) {
		pkg := filepath.Dir(path)
		if pkg == "internal/repotest" {
			return
		}
		here := position(pkg)
		if here < 0 {
			t.Errorf("%s: package %s stands in no row of the layout; put it into one", path, pkg)
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", path), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			to, _ := strconv.Unquote(imp.Path.Value)
			to, ours := strings.CutPrefix(to, module+"/")
			if !ours || to == pkg {
				continue
			}
			there := position(to)
			isTest := strings.HasSuffix(path, "_test.go")
			switch {
			case there < 0:
				t.Errorf("%s imports %s, which stands in no row", path, to)
			case there > here && !isTest:
				t.Errorf("%s (%s) imports %s (%s), which stands below it", path, layout[here].name, to, layout[there].name)
			case there == here && !allowedBeside(layout[here], pkg, to) && !isTest:
				t.Errorf("%s imports %s of its own row (%s): %s", path, to, layout[here].name, layout[here].why)
			}
			for _, f := range forbidden {
				if f.from == pkg && f.to == to && !isTest {
					t.Errorf("%s imports %s: %s", path, to, f.why)
				}
			}
			if slices.Contains([]string{"cluster", "catalog"}, to) && pkg == "program" {
				t.Errorf("%s imports %s: the waist knows no source", path, to)
			}
		}
	})
}

func allowedBeside(r row, from, to string) bool {
	for pattern, list := range r.also {
		if matches(from)(pattern) && slices.ContainsFunc(list, matches(to)) {
			return true
		}
	}
	return false
}

func TestEveryGoFileNamesItsLicence(t *testing.T) {
	goFiles(t, func(path string) {
		data, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		const head = "// Copyright The Sallyport Authors\n// SPDX-License-Identifier: Apache-2.0\n"
		if !strings.HasPrefix(string(data), head) {
			t.Errorf("%s does not begin with\n%s", path, head)
		}
	})
}

// TestNothingBuiltIsKept finds programs that somebody has built and committed.
func TestNothingBuiltIsKept(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("this is no clone, or git is not there: %v", err)
	}
	for path := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, _ := os.ReadFile(filepath.Join("../..", path))
		if strings.HasPrefix(string(data), "\x7fELF") {
			t.Errorf("%s is a program: git rm --cached it", path)
		}
	}
}

func TestNoPackageIsAKitchenDrawer(t *testing.T) {
	goFiles(t, func(path string) {
		for _, part := range strings.Split(filepath.Dir(path), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "misc", "pkg"}, part) {
				t.Errorf("%s: a package is named by what it knows, not %q", path, part)
			}
		}
	})
}

func TestNothingRunsBeforeMain(t *testing.T) {
	goFiles(t, func(path string) {
		data, _ := os.ReadFile(filepath.Join("../..", path))
		if strings.Contains(string(data), "\nfunc init() {") {
			t.Errorf("%s: no work in init; what exists stands in a list one can read", path)
		}
	})
}
