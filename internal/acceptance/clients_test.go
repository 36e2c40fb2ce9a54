// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
	"github.com/sallyport/sallyport/lab/load"
)

// agree fails when the judge does not say of the flow what the client saw.
func agree(t *testing.T, s *site, passed bool, proto flow.Protocol, host string, port uint16) {
	t.Helper()
	f := flow.Flow{Src: s.Plan.Sources[0], Transport: proto.Transport, App: proto.App, Port: port}
	if a, err := netip.ParseAddr(host); err == nil {
		f.Dst, f.App, f.Proof = a, flow.Raw, flow.ByAddress
	} else {
		f.Name = dnsname.MustParse(host)
		f.Proof = map[flow.App]flow.Proof{flow.Raw: flow.ByDNS, flow.TLS: flow.BySNI, flow.HTTP: flow.ByHost}[proto.App]
	}
	if d := s.judged(f); (d.Verdict == flow.Allow) != passed {
		t.Errorf("%s: the client passed: %v; why says %s (%s)", f, passed, d.Verdict, d.Reason)
	}
}

func TestCurl(t *testing.T) {
	need(t, "curl")
	s := withGateway(t, example(t, "seed.yaml"))
	for _, row := range []struct {
		name  string
		url   string
		extra []string
		host  string
		proto flow.Protocol
		port  uint16
		code  int    // curl's
		says  string // in its output
	}{
		{name: "HTTPS_to_an_allowed_name", url: "https://mcr.microsoft.com/", host: "mcr.microsoft.com", proto: flow.ProtoHTTPS, port: 443, says: "200"},
		{name: "HTTP_to_an_allowed_name", url: "http://security.ubuntu.com/ubuntu/", host: "security.ubuntu.com", proto: flow.ProtoHTTP, port: 80, says: "200"},
		{name: "a_name_that_does_not_resolve", url: "https://example.com/", host: "example.com", proto: flow.ProtoHTTPS, port: 443, code: 6, says: "Could not resolve"},
		{name: "another_name_at_an_allowed_address", url: "https://example.com/", host: "example.com", proto: flow.ProtoHTTPS, port: 443, code: 35, says: "reset",
			extra: []string{"--connect-to", "example.com:443:mcr.microsoft.com:443"}},
		{name: "another_port", url: "https://mcr.microsoft.com:8443/", host: "mcr.microsoft.com", proto: flow.ProtoHTTPS, port: 8443, code: 7, says: "onnect"},
		{name: "another_host_over_HTTP", url: "http://example.com/", host: "example.com", proto: flow.ProtoHTTP, port: 80, says: "403",
			extra: []string{"--connect-to", "example.com:80:security.ubuntu.com:80"}},
		{name: "the_API_server_by_address", url: "https://20.50.132.7/", host: "20.50.132.7", proto: flow.ProtoTCP, port: 443, says: "200", extra: []string{"-k"}},
		{name: "HTTP_with_a_body_that_waits_for_100", url: "http://security.ubuntu.com/upload", host: "security.ubuntu.com", proto: flow.ProtoHTTP, port: 80, says: "200",
			extra: []string{"-H", "Expect: 100-continue", "--data-binary", "@" + binary}},
	} {
		t.Run(row.name, func(t *testing.T) {
			argv := append([]string{"curl", "-sS", "--max-time", "10", "--cacert", s.CAFile(), "-o", "/dev/null", "-w", "%{http_code} %{errormsg}"}, row.extra...)
			r := s.run(append(argv, row.url)...)
			out := string(r.Stdout) + string(r.Stderr)
			if r.Code != row.code || !strings.Contains(out, row.says) {
				t.Errorf("curl ended with %d: %s; want %d with %q", r.Code, out, row.code, row.says)
			}
			agree(t, s, r.Code == 0 && !strings.Contains(out, "403"), row.proto, row.host, row.port)
		})
	}
}

func TestAGoClientWithAPostQuantumHello(t *testing.T) {
	s := withGateway(t, example(t, "seed.yaml"))
	t.Run("in_two_segments", func(t *testing.T) {
		_, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Split: []int{700}, Delay: 20 * time.Millisecond})
		if !got.OK {
			t.Errorf("%+v", got)
		}
		agree(t, s, got.OK, flow.ProtoHTTPS, "mcr.microsoft.com", 443)
	})
	t.Run("with_an_unusual_ALPN_that_arrives_as_it_was_sent", func(t *testing.T) {
		_, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, TLS: client.TLS{ALPN: []string{"konnectivity/1", "http/1.1"}}})
		if !got.OK {
			t.Errorf("%+v", got)
		}
		hello, err := load.Hello("mcr.microsoft.com")
		if err != nil || len(hello) < 1400 {
			t.Fatalf("hello of %d bytes, %v", len(hello), err)
		}
		to := netip.AddrPortFrom(got.Remote.Addr(), 443)
		if _, err := s.Say(t.Context(), client.Raw{To: to, Chunks: [][]byte{hello[:1], hello[1:800], hello[800:]}}); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Internet.Arrived(t.Context(), hello, time.Second); !ok {
			t.Error("the hello did not arrive byte for byte")
		}
	})
	t.Run("of_a_refused_name_in_two_segments", func(t *testing.T) {
		a, err := s.Ask(t.Context(), client.Question{Name: "mcr.microsoft.com"})
		if err != nil {
			t.Fatal(err)
		}
		target, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "example.com", Addr: a.Addrs[0], Port: 443, Split: []int{700}})
		if got.OK || !got.Refused {
			t.Errorf("%+v", got)
		}
		if at, ok := s.Internet.Arrived(t.Context(), []byte(target.Nonce), 0); ok {
			t.Errorf("payload arrived at %s", at)
		}
		agree(t, s, got.OK, flow.ProtoHTTPS, "example.com", 443)
	})
}

func TestOpenSSL(t *testing.T) {
	need(t, "openssl")
	s := withGateway(t, example(t, "seed.yaml"))
	connect := func(name string, more ...string) lab.Result {
		return s.run("sh", "-c", "echo Q | timeout 10 openssl s_client -connect mcr.microsoft.com:443 -servername "+name+
			" -CAfile "+s.CAFile()+" -verify_return_error -brief "+strings.Join(more, " ")+" 2>&1")
	}
	if r := connect("mcr.microsoft.com"); r.Code != 0 || !bytes.Contains(r.Stdout, []byte("CONNECTION ESTABLISHED")) {
		t.Errorf("openssl to an allowed name ended with %d: %s", r.Code, r.Stdout)
	}
	// The server has no X448, and asks for another hello.
	if r := connect("mcr.microsoft.com", "-msg", "-groups", "X448:X25519"); r.Code != 0 || bytes.Count(r.Stdout, []byte("ClientHello")) != 2 {
		t.Errorf("openssl with two hellos ended with %d: %s", r.Code, r.Stdout)
	}
	if r := connect("example.com"); r.Code == 0 {
		t.Errorf("openssl with a refused name passed: %s", r.Stdout)
	}
	agree(t, s, true, flow.ProtoHTTPS, "mcr.microsoft.com", 443)
	agree(t, s, false, flow.ProtoHTTPS, "example.com", 443)
}

// TestChronyAsksForTheTime queries once and sets no clock: -Q prints the offset
// and exits.
func TestChronyAsksForTheTime(t *testing.T) {
	need(t, "chronyd")
	s := withGateway(t, example(t, "seed.yaml"))
	query := func(server string) lab.Result {
		return s.run("timeout", "20", "chronyd", "-Q", "-x", "-u", "root", "-t", "6", "-f", "/dev/null",
			"server "+server+" iburst maxsamples 2", "pidfile "+filepath.Join(s.Dir, "chronyd.pid"), "cmdport 0")
	}
	r := query("ntp.ubuntu.com")
	if r.Code != 0 || !strings.Contains(string(r.Stderr)+string(r.Stdout), "System clock wrong by") {
		t.Errorf("chrony ended with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	agree(t, s, r.Code == 0, flow.ProtoUDP, "ntp.ubuntu.com", 123)
	r = query(s.Plan.Attacker.String())
	if r.Code == 0 {
		t.Errorf("chrony got the time from the attacker:\n%s", r.Stderr)
	}
	agree(t, s, r.Code == 0, flow.ProtoUDP, s.Plan.Attacker.String(), 123)
}

func TestDig(t *testing.T) {
	need(t, "dig")
	s := withGateway(t, example(t, "seed.yaml"))
	for _, transport := range []string{"+notcp", "+tcp"} {
		r := s.run("dig", transport, "+time=3", "+tries=1", "mcr.microsoft.com")
		if out := string(r.Stdout); r.Code != 0 || !strings.Contains(out, "status: NOERROR") || !strings.Contains(out, s.Plan.Shared.String()) {
			t.Errorf("dig %s: %d %s", transport, r.Code, out)
		}
		r = s.run("dig", transport, "+time=3", "+tries=1", "example.com")
		if out := string(r.Stdout); r.Code != 0 || !strings.Contains(out, "status: NXDOMAIN") || !strings.Contains(out, "SOA") {
			t.Errorf("dig %s of a refused name: %d %s", transport, r.Code, out)
		}
		// Another resolver is refused, and dig is told so.
		r = s.run("dig", transport, "+time=3", "+tries=1", "@"+s.Plan.Attacker.String(), "mcr.microsoft.com")
		if out := string(r.Stdout); r.Code == 0 || !strings.Contains(out, "refused") {
			t.Errorf("dig %s at the attacker: %d %s", transport, r.Code, out)
		}
	}
}

func TestAptUpdateFromAnHTTPMirror(t *testing.T) {
	need(t, "apt-get")
	s := withGateway(t, example(t, "seed.yaml"))
	mirror := filepath.Join(s.Dir, "mirror")
	writeMirror(t, filepath.Join(mirror, "ubuntu"))
	if err := s.Internet.SetSites(t.Context(), map[string]string{"security.ubuntu.com": mirror}); err != nil {
		t.Fatal(err)
	}
	update := func(host string) lab.Result {
		root := filepath.Join(s.Dir, "apt-"+host)
		for _, d := range []string{"lists/partial", "cache/archives/partial", "etc"} {
			if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		list := filepath.Join(root, "etc/sources.list")
		line := fmt.Sprintf("deb [trusted=yes] http://%s/ubuntu stable main\n", host)
		if err := os.WriteFile(list, []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
		return s.run("env", "-u", "http_proxy", "apt-get", "update", "-o", "Dir::State::lists="+root+"/lists",
			"-o", "Dir::Cache="+root+"/cache", "-o", "Dir::Etc::sourcelist="+list, "-o", "Dir::Etc::sourceparts=-",
			"-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=0",
			"-o", "Acquire::http::Proxy=false", "-o", "Acquire::http::Timeout=5")
	}
	r := update("security.ubuntu.com")
	if out := string(r.Stdout) + string(r.Stderr); r.Code != 0 || !strings.Contains(out, "http://security.ubuntu.com/ubuntu stable/main") {
		t.Errorf("apt-get update ended with %d:\n%s", r.Code, out)
	}
	agree(t, s, r.Code == 0, flow.ProtoHTTP, "security.ubuntu.com", 80)
	r = update("deb.example.org")
	if r.Code == 0 {
		t.Errorf("apt-get update from another mirror passed:\n%s", r.Stdout)
	}
	agree(t, s, r.Code == 0, flow.ProtoHTTP, "deb.example.org", 80)
}

// writeMirror writes the smallest repository that apt takes.
func writeMirror(t *testing.T, dir string) {
	t.Helper()
	packages := []byte("Package: sallyport-test\nVersion: 1.0\nArchitecture: all\nMaintainer: lab <lab@example.com>\n" +
		"Filename: pool/t.deb\nSize: 0\nSHA256: " + strings.Repeat("0", 64) + "\nDescription: a package\n\n")
	sum := sha256.Sum256(packages)
	release := fmt.Sprintf("Origin: lab\nSuite: stable\nCodename: stable\nDate: %s\nArchitectures: amd64 arm64\nComponents: main\nSHA256:\n",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"))
	for _, arch := range []string{"amd64", "arm64"} {
		release += fmt.Sprintf(" %s %d main/binary-%s/Packages\n", hex.EncodeToString(sum[:]), len(packages), arch)
		write(t, filepath.Join(dir, "dists/stable/main/binary-"+arch, "Packages"), packages)
	}
	write(t, filepath.Join(dir, "dists/stable/Release"), []byte(release))
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSSHOnAnAllowedAndARefusedPort runs a real SSH server outside, on an
// address that the owner's rule knows, and on two ports.
func TestSSHOnAnAllowedAndARefusedPort(t *testing.T) {
	need(t, "ssh", "sshd", "ssh-keygen")
	const host, allowed, refused = "20.61.0.1", 2222, 2223
	s := newSite(t, example(t, "seed.yaml"), nil)
	s.write(example(t, "seed.yaml") + "- {cidr: " + host + "/32, ports: tcp/2222, reason: a server of ours}\n")
	s.start()
	startSSHD(t, s, host, allowed, refused)
	connect := func(port int) lab.Result {
		return s.run("timeout", "10", "ssh", "-F", "/dev/null", "-i", filepath.Join(s.Dir, "key"), "-p", fmt.Sprint(port),
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "root@"+host, "echo it is I")
	}
	r := connect(allowed)
	// Who may log in is the server's business; that its banner and keys came
	// through shows the flow.
	if out := string(r.Stdout) + string(r.Stderr); !strings.Contains(out, "it is I") && !strings.Contains(out, "Permission denied") &&
		!strings.Contains(out, "Permanently added") {
		t.Errorf("ssh on the allowed port ended with %d: %s", r.Code, out)
	}
	r = connect(refused)
	if out := string(r.Stderr); r.Code != 255 || !strings.Contains(out, "onnection refused") {
		t.Errorf("ssh on the refused port ended with %d: %s", r.Code, out)
	}
	_, p := compiled(t, mustRead(t, s.file))
	s.program = p
	agree(t, s, true, flow.ProtoTCP, host, allowed)
	agree(t, s, false, flow.ProtoTCP, host, refused)
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func startSSHD(t *testing.T, s *site, host string, ports ...int) {
	t.Helper()
	outside := func(argv ...string) {
		t.Helper()
		if r, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: argv}); err != nil || r.Code != 0 {
			t.Fatalf("%v: %v %s", argv, err, r.Stderr)
		}
	}
	outside("ip", "addr", "add", host+"/32", "dev", "lo")
	for _, key := range []string{"hostkey", "key"} {
		outside("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.Dir, key))
	}
	keys := mustRead(t, filepath.Join(s.Dir, "key.pub"))
	write(t, filepath.Join(s.Dir, "authorized_keys"), []byte(keys))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Skipf("sshd needs /run/sshd, which this user cannot make: %v", err)
	}
	argv := []string{"/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", filepath.Join(s.Dir, "hostkey"),
		"-o", "AuthorizedKeysFile=" + filepath.Join(s.Dir, "authorized_keys"), "-o", "StrictModes=no", "-o", "PidFile=none",
		"-o", "UsePAM=no", "-o", "PermitRootLogin=yes"}
	for _, p := range ports {
		argv = append(argv, "-o", fmt.Sprintf("ListenAddress=%s:%d", host, p))
	}
	if _, err := s.Internet.Start(t.Context(), lab.Cmd{Argv: argv}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		connect := fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", host, ports[0])
		if r, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: []string{"bash", "-c", connect}}); err == nil && r.Code == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("sshd does not start")
}

func TestAPathOf1400Bytes(t *testing.T) {
	s := newSite(t, example(t, "seed.yaml"), func(o *lab.Options) { o.PathMTU = 1400 })
	s.start()
	const n = 4 << 20
	for _, row := range []struct{ kind, name string }{{client.HTTPS, "mcr.microsoft.com"}, {client.HTTP, "security.ubuntu.com"}} {
		port := uint16(443)
		if row.kind == client.HTTP {
			port = 80
		}
		_, got := s.Reach(t.Context(), client.Target{Kind: row.kind, Name: row.name, Port: port, Path: fmt.Sprintf("/bytes/%d", n), Timeout: 15 * time.Second})
		if !got.OK || got.SHA256 != internet.Hash(n) {
			t.Errorf("%s over a path of 1400 bytes: %+v", row.kind, got)
		}
	}
}

// TestAClientWithAnAddressFromBeforeTheTTL dials what it resolved long ago: the
// name has moved since, and the TTL is over.
func TestAClientWithAnAddressFromBeforeTheTTL(t *testing.T) {
	s := newSite(t, example(t, "seed.yaml"), func(o *lab.Options) { o.TTL = 1 })
	s.start()
	const name = "packages.microsoft.com"
	a, err := s.Ask(t.Context(), client.Question{Name: name})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	old := a.Addrs[0]
	other := s.Plan.Addrs["login.microsoftonline.com"][0]
	if err := s.Internet.SetRecords(t.Context(), map[string][]string{name: {"A " + other.String()}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if a, err = s.Ask(t.Context(), client.Question{Name: name}); err == nil && len(a.Addrs) > 0 && a.Addrs[0] == other {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the name did not move: %+v, %v", a, err)
		}
	}
	for _, addr := range []netip.Addr{old, other} {
		if _, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: name, Addr: addr, Port: 443}); !got.OK {
			t.Errorf("%s at %s: %+v", name, addr, got)
		}
	}
}

// TestARegistryPull pulls an image with skopeo from a real registry that stands
// behind the name of the Microsoft one.
func TestARegistryPull(t *testing.T) {
	need(t, "skopeo", "docker-registry")
	s := withGateway(t, example(t, "seed.yaml"))
	startRegistry(t, s)
	image := filepath.Join(s.Dir, "image")
	writeImage(t, image)
	push, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: []string{"skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:" + image + ":latest", "docker://127.0.0.1:5000/pause:3.9"}})
	if err != nil || push.Code != 0 {
		t.Fatalf("push: %v %s%s", err, push.Stdout, push.Stderr)
	}
	certs := filepath.Join(s.Dir, "certs")
	write(t, filepath.Join(certs, "ca.crt"), []byte(mustRead(t, s.CAFile())))
	pull := func(host, to string) lab.Result {
		return s.run("timeout", "20", "skopeo", "--insecure-policy", "copy", "--src-cert-dir", certs, "docker://"+host+"/pause:3.9", "dir:"+filepath.Join(s.Dir, to))
	}
	r := pull("mcr.microsoft.com", "pulled")
	if r.Code != 0 {
		t.Errorf("skopeo ended with %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	agree(t, s, r.Code == 0, flow.ProtoHTTPS, "mcr.microsoft.com", 443)
	r = pull("docker.example.io", "refused")
	if r.Code == 0 {
		t.Error("skopeo pulled from a registry that no rule knows")
	}
	agree(t, s, r.Code == 0, flow.ProtoHTTPS, "docker.example.io", 443)
}

func startRegistry(t *testing.T, s *site) {
	t.Helper()
	config := filepath.Join(s.Dir, "registry.yml")
	write(t, config, []byte("version: 0.1\nstorage: {filesystem: {rootdirectory: "+filepath.Join(s.Dir, "registry")+"}}\nhttp: {addr: 127.0.0.1:5000}\n"))
	if _, err := s.Internet.Start(t.Context(), lab.Cmd{Argv: []string{"docker-registry", "serve", config}}); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		r, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: []string{"curl", "-sf", "http://127.0.0.1:5000/v2/"}})
		if err == nil && r.Code == 0 {
			if err := s.Internet.SetSites(t.Context(), map[string]string{"mcr.microsoft.com": "http://127.0.0.1:5000"}); err != nil {
				t.Fatal(err)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the registry does not start")
}

// writeImage writes an image of one layer in the OCI layout (image-spec 1.1).
func writeImage(t *testing.T, dir string) {
	t.Helper()
	blob := func(data []byte) (digest string, size int) {
		sum := sha256.Sum256(data)
		digest = hex.EncodeToString(sum[:])
		write(t, filepath.Join(dir, "blobs/sha256", digest), data)
		return "sha256:" + digest, len(data)
	}
	layer, layerSize := blob(make([]byte, 10240)) // an empty tar archive
	config, configSize := blob(fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, layer))
	manifest, manifestSize := blob(fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, config, configSize, layer, layerSize))
	write(t, filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	write(t, filepath.Join(dir, "index.json"), fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"digest":%q,"size":%d,"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}`, manifest, manifestSize))
}
