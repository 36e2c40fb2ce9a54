// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/lab"
)

// builtIn is the directory of the program under test, which TestMain removes.
var builtIn string

// sallyport is the program under test, built once: this package knows no
// gateway, it starts one as a user does.
var sallyport = sync.OnceValues(func() (string, error) {
	var err error
	if builtIn, err = os.MkdirTemp("", "sallyport-bin-"); err != nil {
		return "", err
	}
	bin := filepath.Join(builtIn, "sallyport")
	out, err := exec.Command("go", "build", "-o", bin, "../cmd/sallyport").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program under test: %w\n%s", err, out)
	}
	return bin, nil
})

// runOptions returns what is needed for a run for the description in a file.
func runOptions(t *testing.T, file string) lab.RunOptions {
	t.Helper()
	bin, err := sallyport()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, p := compiled(t, string(text))
	return lab.RunOptions{Cluster: c, ClusterFile: file, Program: p, Gateway: []string{bin, "gateway"}}
}

// lines is a writer that says when a text has come by.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	want string
	came chan struct{}
	once sync.Once
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if strings.Contains(l.text.String(), l.want) {
		l.once.Do(func() { close(l.came) })
	}
	return len(b), nil
}

func TestAKeptLabRunsUntilItIsStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &lines{want: "Records: ", came: make(chan struct{})}
	opt := runOptions(t, "../examples/azure.yaml")
	opt.Out, opt.Keep, opt.Ways = out, true, lab.Ways[:1]
	ended := make(chan error, 1)
	go func() {
		_, err := lab.Run(ctx, opt)
		ended <- err
	}()
	select {
	case <-out.came:
	case err := <-ended:
		t.Fatalf("ended by itself: %v", err)
	}
	pid := regexp.MustCompile(`node: +nsenter -t ([0-9]+)`).FindStringSubmatch(out.text.String())
	if pid == nil {
		t.Fatalf("no way in is told:\n%s", out.text.String())
	}
	seen, err := exec.Command("nsenter", "-t", pid[1], "-n", "-m", "cat", "/etc/resolv.conf").CombinedOutput()
	if err != nil || !strings.Contains(string(seen), "nameserver 10.") {
		t.Errorf("inside the node: %v\n%s", err, seen)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
}

func TestAMissingRuleFailsItsRowsAndNoOthers(t *testing.T) {
	const owner = "\nallow:\n- {name: %s, ports: [https], reason: an experiment}\n"
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	text, err := os.ReadFile("../examples/seed-all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "\nallow:") {
		t.Fatal("the example has rules of its owner's, and this test adds them as text: name another")
	}
	// The gateway reads the file without the rule, the lab plans with it.
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	opt := runOptions(t, file)
	opt.Cluster, opt.Program = compiled(t, string(text)+fmt.Sprintf(owner, "missing.example.net"))
	opt.Out, opt.Ways = io.Discard, lab.Ways[:1]
	s, err := lab.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	wrong := s.Wrong()
	if s.OK || len(wrong) != 1 || wrong[0].Destination != "missing.example.net" {
		t.Errorf("got %+v, want only missing.example.net", wrong)
	}
}

func TestRunComesOutRightForEveryExample(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { comesOutRight(t, runOptions(t, file)) })
	}
}

// TestRunComesOutRightOnOneInterface has the second example for its IPv6.
func TestRunComesOutRightOnOneInterface(t *testing.T) {
	for _, name := range []string{"seed.yaml", "seed-all.yaml"} {
		t.Run(name, func(t *testing.T) {
			opt := runOptions(t, "../examples/"+name)
			opt.Single = true
			comesOutRight(t, opt)
		})
	}
}

func comesOutRight(t *testing.T, opt lab.RunOptions) {
	t.Helper()
	var out bytes.Buffer
	opt.Out, opt.JSON = &out, true
	s, err := lab.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(opt.Program.Pairs()); s.Reaches.Of != want {
		t.Errorf("%d pairs were tried, the program has %d", s.Reaches.Of, want)
	}
	for _, r := range s.Wrong() {
		t.Errorf("%+v", r)
	}
	var again lab.Summary
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || again.Schema != lab.Schema || again.OK != s.OK {
		t.Errorf("the document is not the summary: %v", err)
	}
}
