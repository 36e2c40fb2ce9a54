// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package squid

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/internal/vectors"
	"github.com/sallyport/sallyport/netset"
)

// TestSquidDecidesAsTheRulesThatWereRead asks a running Squid for names, with
// CONNECT and without. Every name leads to a closed port here, so what Squid
// lets through fails, and what it does not is forbidden: 403 is the verdict.
func TestSquidDecidesAsTheRulesThatWereRead(t *testing.T) {
	squid, err := exec.LookPath("squid")
	if err != nil {
		t.Skip("squid is not installed: apt install squid-openssl")
	}
	names := []string{"a.com", "x.a.com", "y.x.a.com", "za.com", "b.org", "n.b.org", "c.net"}
	r := rand.New(rand.NewPCG(9, 10))
	for range 4 {
		p := randomProgram(r)
		for i := range p.Rules {
			p.Rules[i].Sources = netset.Of(netip.MustParsePrefix("127.0.0.0/8"))
		}
		conf, _ := Write(p)
		rules, err := Read("squid.conf", conf)
		if err != nil {
			t.Fatal(err)
		}
		allowed := rules.Evaluate().Sure
		proxy := start(t, squid, conf, names)
		for _, name := range names {
			for _, q := range []struct {
				class flowset.Class
				port  uint16
			}{{flowset.TLS, 443}, {flowset.TLS, 8443}, {flowset.TLS, 80}, {flowset.HTTP, 80}, {flowset.HTTP, 8443}} {
				f := flowset.Flow{
					Src: netip.MustParseAddr("127.0.0.1"), Dst: netip.MustParseAddr("20.1.2.3"), Class: q.class, Port: q.port, Name: dnsname.MustParse(name),
				}
				if got := ask(t, proxy, f); got != allowed.Contains(f) {
					t.Errorf("%s: squid lets it through: %v, as sets: %v\n%s", f, got, allowed.Contains(f), conf)
				}
			}
		}
	}
}

// TestSquidAgreesWithTheTableOfFlows asks for the flows that every outlet must
// agree about. Squid goes where the name leads, whatever address the client had
// in mind, so for it every name is proved.
func TestSquidAgreesWithTheTableOfFlows(t *testing.T) {
	squid, err := exec.LookPath("squid")
	if err != nil {
		t.Skip("squid is not installed: apt install squid-openssl")
	}
	p := exampletest.Program(t, vectors.Example)
	conf, left := Write(p)
	p = p.Without(left...)
	// The client is on this machine, and stands for the node.
	here := strings.ReplaceAll(string(conf), "10.240.0.0/16", "127.0.0.0/8")
	if here == string(conf) {
		t.Fatalf("no rule is for the nodes:\n%s", conf)
	}
	var names []string
	for _, v := range vectors.All {
		if v.Host != "" && !slices.Contains(names, v.Host) {
			names = append(names, v.Host)
		}
	}
	proxy := start(t, squid, []byte(here), names)
	through := 0
	for _, v := range vectors.All {
		f := v.Flow()
		if f.Transport != flow.TCP || v.Stranger {
			continue // nothing that a client asks a proxy for, or from elsewhere
		}
		asked := flowset.Flow{Dst: f.Dst, Port: f.Port, Name: f.Name, Class: flowset.OtherTCP}
		switch f.App {
		case flow.TLS:
			asked.Class, f.Proof = flowset.TLS, flow.BySNI
		case flow.HTTP:
			asked.Class, f.Proof = flowset.HTTP, flow.ByHost
		}
		if f.Name.IsZero() {
			f.Proof = flow.Unproved
		}
		want := p.Eval(f, time.Now()).Verdict == flow.Allow
		got := ask(t, proxy, asked)
		if got != want {
			t.Errorf("%s: squid lets it through: %v, the judge: %v\n%s", v.Name, got, want, conf)
		}
		if got {
			through++
		}
	}
	if through < 5 {
		t.Errorf("only %d flows went through", through)
	}
}

// start runs Squid with a configuration until the test ends.
func start(t *testing.T, squid string, conf []byte, names []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	hosts := ""
	for _, n := range names {
		hosts += "127.0.0.9 " + n + "\n"
	}
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := write("squid.conf", string(conf)+fmt.Sprintf(`
http_port %s
hosts_file %s
pid_filename none
cache_log /dev/null
access_log none
cache_store_log none
netdb_filename none
coredump_dir /
shutdown_lifetime 0 seconds
connect_timeout 1 second
connect_retries 0
forward_max_tries 1
`, addr, write("hosts", hosts)))
	c := exec.Command(squid, "-N", "-f", file, "-n", "sallyport"+strings.ReplaceAll(addr[len("127.0.0.1:"):], ":", ""))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for range 100 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("squid does not listen: %s", out.String())
	return ""
}

// ask reports whether Squid lets a request through.
func ask(t *testing.T, proxy string, f flowset.Flow) bool {
	t.Helper()
	conn, err := net.DialTimeout("tcp", proxy, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	host := netip.AddrPortFrom(f.Dst, f.Port).String()
	if !f.Name.IsZero() {
		host = fmt.Sprintf("%s:%d", f.Name, f.Port)
	}
	if f.Class != flowset.HTTP {
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", host, host)
	} else {
		fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host, host)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode != http.StatusForbidden
}
