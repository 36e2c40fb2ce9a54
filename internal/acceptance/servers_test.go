// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

const onePort, morePorts = `
- {id: odd, name: odd.example.net, ports: https, reason: test}
`, `
- {id: odd, name: odd.example.net, ports: [https, https/8543], reason: test}
- {id: careful, name: odd.example.net, ports: https/8544, strict: true, reason: test}
`

// oddServer is a server of a name's at some ports of which the lab knows nothing,
// behind a gateway. command starts one, in a folder for its files.
func oddServer(t *testing.T, command func(s *site, listen string) []string) (s *site, at netip.Addr) {
	t.Helper()
	text := example(t, "seed.yaml")
	s = newSite(t, text+onePort, nil)
	s.write(text + morePorts)
	s.start()
	a, err := s.Ask(t.Context(), client.Question{Name: "odd.example.net"})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("%+v %v", a, err)
	}
	at = a.Addrs[0]
	for _, port := range []int{8543, 8544} {
		if _, err := s.Internet.Start(t.Context(), lab.Cmd{Argv: command(s, fmt.Sprintf("%s:%d", at, port))}); err != nil {
			t.Fatal(err)
		}
		connect := fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", at, port)
		ready := func() bool {
			r, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: []string{"bash", "-c", connect}})
			return err == nil && r.Code == 0
		}
		for deadline := time.Now().Add(10 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the server does not start")
			}
		}
	}
	return s, at
}

// openssl starts openssl as a server.
func openssl(t *testing.T, options ...string) func(s *site, listen string) []string {
	need(t, "openssl")
	return func(s *site, listen string) []string {
		key, cert := filepath.Join(s.Dir, "server.key"), filepath.Join(s.Dir, "server.pem")
		s.script(s.Internet.Agent, "[ -e "+key+" ] || openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=odd.example.net -days 2 -keyout "+key+" -out "+cert+" 2>/dev/null")
		return append([]string{"openssl", "s_server", "-accept", listen, "-key", key, "-cert", cert, "-quiet"}, options...)
	}
}

// clientHello returns a hello of TLS 1.3, with a key share or without.
func clientHello(t *testing.T, name string, shares bool) []byte {
	t.Helper()
	hello, err := client.Hello(client.TLS{Classical: true}, name)
	if err == nil && !shares {
		hello, err = client.WithExtension(hello, client.ExtKeyShare, []byte{0, 0})
	}
	if err != nil {
		t.Fatal(err)
	}
	return hello
}

// serverHellos counts the messages of that type that ask for no other hello.
func serverHellos(b []byte) (n int) {
	retry := sha256.Sum256([]byte("HelloRetryRequest"))
	for len(b) >= 43 {
		end := 5 + int(b[3])<<8 + int(b[4])
		if b[0] == 22 && b[5] == 2 && !bytes.Equal(b[11:43], retry[:]) {
			n++
		}
		b = b[min(end, len(b)):]
	}
	return n
}

// OpenSSL does not compare the server name of the hello that it asks for with the
// first one's: it serves whichever host that names.
func TestTheHelloThatOpenSSLAsksFor(t *testing.T) {
	s, at := oddServer(t, openssl(t))
	for _, port := range []uint16{8543, 8544} { // the packet path, and the strict one
		for _, row := range []struct {
			name     string
			answered bool
		}{{"odd.example.net", true}, {"evil.example", false}} {
			first, second := clientHello(t, "odd.example.net", false), clientHello(t, row.name, true)
			h, err := s.Say(t.Context(), client.Raw{
				To: netip.AddrPortFrom(at, port), Turns: true, Listen: time.Second,
				Chunks: [][]byte{first, slices.Concat([]byte{20, 3, 3, 0, 1, 1}, second)},
			})
			if err != nil || len(h.Data) == 0 || (serverHellos(h.Data) == 1) != row.answered {
				t.Errorf("port %d, %s in the second hello: %d bytes with %d answers, %q %v", port, row.name, len(h.Data), serverHellos(h.Data), h.Error, err)
			}
			s.awaitRecord(row.name, func(r lab.Record) bool {
				return r.Source == h.Local.String() && r.Name == row.name && (r.Verdict == "allow") == row.answered
			})
		}
	}
}

func TestLawfulHandshakesWithOpenSSL(t *testing.T) {
	s, at := oddServer(t, openssl(t, "-early_data", "-groups", "P-384:X25519", "-num_tickets", "1"))
	data, session := filepath.Join(s.Dir, "early"), filepath.Join(s.Dir, "session")
	write(t, data, []byte("GET / HTTP/1.0\r\n\r\n"))
	for _, port := range []int{8543, 8544} {
		connect := func(options string) string {
			r := s.run("sh", "-c", fmt.Sprintf("sleep 0.4 | timeout 10 openssl s_client -connect %s:%d -servername odd.example.net %s 2>&1", at, port, options))
			return string(r.Stdout)
		}
		for _, options := range []string{"-tls1_2", "-tls1_3", "-tls1_3 -groups X448:P-384", "-tls1_3 -groups X448:P-384 -split_send_frag 512"} {
			if out := connect(options); !strings.Contains(out, "Verification error: self-signed certificate") && !strings.Contains(out, "Verify return code: 18") {
				t.Errorf("port %d %s: %s", port, options, out)
			}
		}
		connect("-tls1_3 -sess_out " + session)
		if out := connect("-tls1_3 -sess_in " + session + " -early_data " + data); !strings.Contains(out, "Early data was accepted") {
			t.Errorf("port %d: early data: %s", port, out)
		}
	}
}

// A SYN in the entry of a flow whose hello is on its way may open a connection there,
// and the verdict that is still to come would release that one.
func TestASynWaitsWhileAHelloIsOnItsWay(t *testing.T) {
	need(t, "perl")
	s, at := oddServer(t, func(_ *site, listen string) []string {
		return []string{"perl", "-MIO::Socket::INET", "-e",
			`$s = IO::Socket::INET->new(Listen => 9, LocalAddr => $ARGV[0], ReuseAddr => 1) or die; while ($c = $s->accept) { push @kept, $c }`, listen}
	})
	to := netip.AddrPortFrom(at, 8543)
	h, err := s.Say(t.Context(), client.Raw{To: to, Chunks: [][]byte{clientHello(t, "odd.example.net", true)}})
	if err != nil || h.Error != "" {
		t.Fatalf("%+v %v", h, err)
	}
	s.awaitRecord("the hello", func(r lab.Record) bool { return r.Source == h.Local.String() && r.Verdict == "allow" })
	if _, err := s.Forge(t.Context(), client.Segment{From: h.Local, To: to, Seq: 77, Flags: client.SYN}); err != nil {
		t.Fatal(err)
	}
	s.awaitRecord("the SYN", func(r lab.Record) bool { return r.Source == h.Local.String() && r.Reason == "out-of-state" })
}

// A client whose hello was on its way to a slow server when the gateway was killed is
// told so when the gateway is back, and does not wait for its own time-out.
func TestAHelloOnItsWayOverAKillIsResetAtTheRestart(t *testing.T) {
	need(t, "perl")
	s, at := oddServer(t, func(_ *site, listen string) []string {
		return []string{"perl", "-MIO::Socket::INET", "-e",
			`$s = IO::Socket::INET->new(Listen => 9, LocalAddr => $ARGV[0], ReuseAddr => 1) or die; while ($c = $s->accept) { sysread $c, $b, 9000; sleep 2; syswrite $c, "\x16\x03\x03\x00\x04\x0e\x00\x00\x00"; push @kept, $c }`, listen}
	})
	type end struct {
		heard client.Heard
		after time.Duration
	}
	ended := make(chan end, 1)
	began := time.Now()
	go func() {
		h, err := s.Say(t.Context(), client.Raw{To: netip.AddrPortFrom(at, 8543), Chunks: [][]byte{clientHello(t, "odd.example.net", true)}, Listen: 15 * time.Second})
		if err != nil {
			h.Error = err.Error()
		}
		ended <- end{h, time.Since(began)}
	}()
	s.awaitRecord("the hello", func(r lab.Record) bool {
		return r.Name == "odd.example.net" && r.Path == "hello" && r.Verdict == "allow"
	})
	if err := s.gateway.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	s.start()
	e := <-ended
	if !strings.Contains(e.heard.Error, "reset") || len(e.heard.Data) != 0 || e.after > 10*time.Second {
		t.Errorf("after %s the client has heard %+v, want a reset", e.after, e.heard)
	}
	s.awaitRecord("the reset", func(r lab.Record) bool { return r.Reason == "hello-timeout" && r.Source == e.heard.Local.String() })
}
