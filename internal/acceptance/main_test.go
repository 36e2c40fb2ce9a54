// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package acceptance runs the built command in the lab with real clients, as a
// user would: Debian's curl, openssl, dig, chrony, apt, ssh and skopeo, and Go's
// own. A test that needs a client which is not installed skips and names it; the
// Makefile's test target installs them all.
package acceptance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/examples"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/program"
)

// slow makes the tests try everything on every example; make accept does.
var slow = flag.Bool("slow", false, "try every way out on every example")

// binEnv tells the process inside the namespaces where the built command is.
const binEnv = "SALLYPORT_TEST_BINARY"

var binary string

func TestMain(m *testing.M) {
	if handled, code := lab.Main(os.Args); handled {
		os.Exit(code)
	}
	var part func() error
	switch {
	case len(os.Args) > 2 && os.Args[1] == standInArg:
		part = func() error { return standIn(os.Args[2:]) }
	case len(os.Args) == 2 && os.Args[1] == resolverArg:
		part = anotherResolver
	case len(os.Args) == 2 && os.Args[1] == serviceArg:
		part = service
	default:
		os.Exit(testMain(m))
	}
	if err := part(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func testMain(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = os.Getenv(binEnv)
	if binary == "" {
		dir, err := os.MkdirTemp("", "sallyport-acceptance-")
		if err != nil {
			return fail(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil {
			return fail(err)
		}
		binary = filepath.Join(dir, "sallyport")
		build := exec.Command("go", "build", "-o", binary, "github.com/sallyport/sallyport/cmd/sallyport")
		if out, err := build.CombinedOutput(); err != nil {
			return fail(fmt.Errorf("build sallyport: %w\n%s", err, out))
		}
		if err := os.Setenv(binEnv, binary); err != nil {
			return fail(err)
		}
	}
	done, code, err := lab.Enter()
	if missing := (*lab.NamespaceError)(nil); errors.As(err, &missing) {
		fmt.Fprintln(os.Stderr, "SKIP: this machine lets this user make no network namespaces:", err)
		return 0
	}
	if err != nil {
		return fail(err)
	}
	if done {
		return code
	}
	return m.Run()
}

// site is a lab with a gateway in it.
type site struct {
	*lab.Lab
	t       *testing.T
	cluster *cluster.Cluster
	program *program.Program
	file    string // cluster description of the gateway
	gateway *lab.Firewall
}

// example returns one of the project's descriptions.
func example(t *testing.T, name string) string {
	t.Helper()
	data, err := examples.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func compiled(t *testing.T, text string) (*cluster.Cluster, *program.Program) {
	t.Helper()
	return exampletest.Compile(t, "cluster.yaml", []byte(text))
}

// newSite makes a lab for the description, without a gateway yet.
func newSite(t *testing.T, text string, change func(*lab.Options)) *site {
	t.Helper()
	c, p := compiled(t, text)
	opt := lab.Options{Cluster: c, Program: p}
	if change != nil {
		change(&opt)
	}
	l, err := lab.New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	s := &site{Lab: l, t: t, cluster: c, program: p, file: filepath.Join(l.Dir, "cluster.yaml")}
	s.gateway = s.Firewall(binary, "gateway", "--cluster", s.file)
	s.write(text)
	return s
}

func (s *site) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// withGateway makes a lab for the description with a gateway that enforces it.
func withGateway(t *testing.T, text string) *site {
	t.Helper()
	s := newSite(t, text, nil)
	s.start()
	return s
}

// start starts the gateway and waits until it is ready.
func (s *site) start() {
	s.t.Helper()
	if err := s.gateway.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// argv is the command that start starts, with more behind it.
func (s *site) argv(more ...string) []string {
	return append([]string{binary, "gateway", "--cluster", s.file, "--inside", s.InsideLink(), "--outside", s.OutsideLink(),
		"--state", s.gateway.State, "--records", s.gateway.Records}, more...)
}

// run runs a client on the node and returns how it ended.
func (s *site) run(argv ...string) lab.Result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	r, err := s.Node.Run(ctx, lab.Cmd{Argv: argv})
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return r
}

// need skips the test when a client is not installed.
func need(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			if _, err := os.Stat(filepath.Join("/usr/sbin", c)); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatalf("%s is not installed, and on CI it must be", c)
				}
				t.Skipf("%s is not installed", c)
			}
		}
	}
}

// awaitRecord returns the first record that is as wanted, and fails when none
// comes.
func (s *site) awaitRecord(what string, want func(lab.Record) bool) lab.Record {
	s.t.Helper()
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		records, _ := s.gateway.All() // there may be no file yet
		if i := slices.IndexFunc(records, want); i >= 0 {
			return records[i]
		}
		if time.Now().After(deadline) {
			var last []string
			for _, r := range records[max(0, len(records)-5):] {
				last = append(last, fmt.Sprintf("%+v", r))
			}
			s.t.Errorf("no record of %s; the last ones:\n%s", what, strings.Join(last, "\n"))
			return lab.Record{}
		}
	}
}

// judged returns what why says of a flow, for the node.
func (s *site) judged(f flow.Flow) flow.Decision { return s.program.Eval(f, time.Now()) }
