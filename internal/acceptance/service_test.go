// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

const unitFile = "../../deploy/sallyport-gateway.service"

// TestTheUnitsThreeCapabilitiesAreEnough runs the gateway as nobody with what the
// unit gives it, and sends traffic through it.
func TestTheUnitsThreeCapabilitiesAreEnough(t *testing.T) {
	need(t, "setpriv")
	unit := mustRead(t, unitFile)
	m := regexp.MustCompile(`(?m)^AmbientCapabilities=(.*)$`).FindStringSubmatch(unit)
	if m == nil || !strings.Contains(unit, "CapabilityBoundingSet="+m[1]+"\n") {
		t.Fatal("the unit names no capabilities, or two sets of them")
	}
	var caps []string
	for _, c := range strings.Fields(m[1]) {
		caps = append(caps, "+"+strings.ToLower(strings.TrimPrefix(c, "CAP_")))
	}
	only := "-all," + strings.Join(caps, ",")
	s := newSite(t, example(t, "seed.yaml"), nil)
	for _, dir := range []string{s.gateway.State, filepath.Join(s.Dir, "log")} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// The manager is told that it is ready.
	socket := filepath.Join(s.Dir, "log", "notify")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(s.Dir, "log", "records.jsonl")
	argv := []string{"env", "NOTIFY_SOCKET=" + socket, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
		"--bounding-set=" + only, "--inh-caps=" + only, "--ambient-caps=" + only,
		binary, "gateway", "--cluster", s.file, "--inside", lab.InsideLink, "--outside", lab.OutsideLink, "--state", s.gateway.State}
	if r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: append(argv, "--check")}); err != nil || r.Code != 0 || strings.Contains(string(r.Stdout), "no  ") {
		t.Fatalf("%v %d\n%s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	proc, err := s.Gateway.Start(t.Context(), lab.Cmd{Argv: append(argv, "--records", records), Stdout: s.gateway.Log, Stderr: s.gateway.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proc.Kill(t.Context()) })
	_ = heard.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 100)
	n, err := heard.Read(b)
	if err != nil || string(b[:n]) != "READY=1" {
		t.Fatalf("the service manager hears %q: %v\n%s", b[:n], err, mustRead(t, s.gateway.Log))
	}
	if err := s.UseResolver(netip.AddrPortFrom(s.Plan.Gateway, 53)); err != nil {
		t.Fatal(err)
	}
	s.reach("HTTPS", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
	s.reach("HTTP", client.Target{Kind: client.HTTP, Name: "security.ubuntu.com", Port: 80}, true)
	s.reach("NTP", client.Target{Kind: client.NTP, Name: "ntp.ubuntu.com", Port: 123}, true)
	s.reach("the API server by address", client.Target{Kind: client.TCP, Addr: s.cluster.APIServer.Addresses[0], Port: 9000}, true)
	s.reach("the attacker", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, false)
	if log := mustRead(t, s.gateway.Log); strings.Contains(log, "level=ERROR") {
		t.Errorf("something failed:\n%s", log)
	}
}

// TestCheckSaysWhatIsMissingAndChangesNothing asks on hosts that would do and on
// one that would not.
func TestCheckSaysWhatIsMissingAndChangesNothing(t *testing.T) {
	s := newSite(t, example(t, "seed.yaml"), nil)
	before := s.hostState()
	r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: s.argv("--check")})
	if err != nil || r.Code != 0 || strings.Contains(string(r.Stdout), "no ") && strings.Contains(string(r.Stdout), "\nno ") {
		t.Errorf("%v %d\n%s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	for _, want := range []string{"yes  cluster description: ", "yes  interfaces: ", "yes  published ports: none", "yes  kernel: NFQUEUE target", "yes  port 53", "yes  state directory: ", "yes  raw sockets, for resets", "yes  records: " + s.gateway.Records} {
		if !strings.Contains(string(r.Stdout), want) {
			t.Errorf("%q is not in\n%s", want, r.Stdout)
		}
	}
	s.sameHost(t, before)
	s.write(withPorts(t))
	r, err = s.Gateway.Run(t.Context(), lab.Cmd{Argv: s.argv("--check")})
	if want := "yes  published ports: on [" + s.Plan.Outside[0].String() + "]: tcp/443 to 20.50.140.9:443 for 198.51.100.0/26, "; err != nil || r.Code != 0 || !strings.Contains(string(r.Stdout), want) {
		t.Errorf("%v %d, want %q in\n%s%s", err, r.Code, want, r.Stdout, r.Stderr)
	}
	// A route that leads to nobody, and an interface that leads nowhere.
	for hop, want := range map[string]string{
		"10.1.0.77":                "by gateway.privateAddress in the description, and inside has [" + s.Plan.Gateway.String() + "]",
		s.Plan.Outside[0].String(): "this host has it, but not on inside",
	} {
		s.write(strings.Replace(example(t, "seed.yaml"), "privateAddress: 10.1.0.4", "privateAddress: "+hop, 1))
		r, err = s.Gateway.Run(t.Context(), lab.Cmd{Argv: append(s.argv("--check"), "--outside", lab.InsideLink)})
		for _, want := range []string{"but  the cluster's routes: ", want, "but  the way out: no default route leads out of inside"} {
			if err != nil || r.Code != 0 || !strings.Contains(string(r.Stdout), want) {
				t.Errorf("%v %d, want %q in\n%s%s", err, r.Code, want, r.Stdout, r.Stderr)
			}
		}
	}
	s.write(withPorts(t))
	s.takePort53(t)
	r, err = s.Gateway.Run(t.Context(), lab.Cmd{Argv: append(s.argv("--check"), "--outside", "nowhere")})
	if err != nil || r.Code != 2 || !strings.Contains(string(r.Stdout), `no   interfaces: --outside: there is no interface "nowhere"`) {
		t.Errorf("%v %d\n%s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	s.script(s.Gateway, "ip route del default")
	r, err = s.Gateway.Run(t.Context(), lab.Cmd{Argv: s.argv("--check", "--metrics", "192.0.2.77:9180", "--records", s.file+"/records")})
	for _, want := range []string{
		"no   port 53: ", "no   192.0.2.77:9180, of /metrics", "no   records: --records " + s.file + "/records: " + s.file + " is no folder",
		"but  the way out: no default route leads out of outside",
	} {
		if err != nil || r.Code != 2 || !strings.Contains(string(r.Stdout), "\n"+want) {
			t.Errorf("%v %d, want %q\n%s%s", err, r.Code, want, r.Stdout, r.Stderr)
		}
	}
}

func TestSystemdReadsTheUnit(t *testing.T) {
	need(t, "systemd-analyze")
	dir := t.TempDir()
	// What it starts must be there.
	unit := strings.ReplaceAll(mustRead(t, unitFile), "/usr/local/bin/sallyport", binary)
	file := filepath.Join(dir, "sallyport-gateway.service")
	write(t, file, []byte(unit))
	s := newSite(t, example(t, "seed.yaml"), nil)
	r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"systemd-analyze", "verify", file}})
	if err != nil || r.Code != 0 || len(r.Stderr) > 0 {
		t.Errorf("%v %d %s", err, r.Code, r.Stderr)
	}
}
