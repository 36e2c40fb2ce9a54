// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBashGivesAzTheNamesOfTheRules runs scripts with an az that only writes down
// its arguments, in a folder with files that an unquoted star would match.
func TestBashGivesAzTheNamesOfTheRules(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("az", "#!"+bash+"\nprintf '%s\\n' \"$@\" >>\"$0.args\"\n", 0o755)
	for _, name := range []string{"evil.a.com", "evil.x.a.com", "evil.b.org", "evil.net"} {
		write(name, "", 0o644)
	}
	r := rand.New(rand.NewPCG(51, 52))
	for range 25 {
		p := randomProgram(r)
		script, _ := AzCLI(p, DefaultLayout)
		write("apply.sh", string(script), 0o755)
		cmd := exec.Command(bash, "apply.sh")
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir + ":/usr/bin:/bin", "GROUP=my group", "POLICY=it's"}
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v %s\n%s", err, out, script)
		}
		args, err := os.ReadFile(filepath.Join(dir, "az.args"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "az.args")); err != nil {
			t.Fatal(err)
		}
		var got, want []string
		words := strings.Split(string(args), "\n")
		for i, w := range words {
			if w == "--target-fqdns" || w == "--destination-fqdns" {
				got = append(got, words[i+1])
			}
			if w == "-g" && (words[i+1] != "my group" || words[i+3] != "it's") {
				t.Fatalf("%q and %q are no group and policy", words[i+1], words[i+3])
			}
		}
		for _, rule := range p.Rules {
			if x, ok := say(rule); ok && rule.ByName() {
				want = append(want, x.names...)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s\n%s", diff, script)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a purpose was run as a command")
	}
}
