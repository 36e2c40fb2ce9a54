// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

// answering answers a hello, and sends back all else. It resets the first connection
// of each port from 42000 on behind its hello.
const answering = `
use IO::Socket::INET; use IO::Select; use Socket;
$s = IO::Socket::INET->new(Listen => 99, LocalAddr => $ARGV[0], ReuseAddr => 1) or die; $all = IO::Select->new($s);
while (@ready = $all->can_read) { for $c (@ready) {
	if ($c == $s) { $all->add(scalar $s->accept); next }
	unless (sysread $c, $b, 9000) { $all->remove($c); close $c; next }
	if ($b !~ /^\x16/) { syswrite $c, $b }
	elsif ($c->peerport >= 42000 && !$seen{$c->peerport}++) { setsockopt $c, SOL_SOCKET, SO_LINGER, pack "ii", 1, 0; $all->remove($c); close $c }
	else { syswrite $c, "\x16\x03\x03\x00\x04\x0e\x00\x00\x00" }
} }`

// reusing opens connections from the ports of others that have just been reset, by
// itself below 42000 and by the server from there on, and says how many of them are
// served, also behind the time when there is a file to go on; then how many of those
// whose second hello has another name.
const reusing = `
use IO::Socket::INET; use Socket;
($to, $good, $evil, $dir) = @ARGV; $_ = pack "H*", $_ for $good, $evil; $SIG{PIPE} = "IGNORE";
sub say { my ($port, $what) = @_;
	my $c = IO::Socket::INET->new(PeerAddr => $to, LocalPort => $port, ReuseAddr => 1, Timeout => 3) or return;
	setsockopt $c, SOL_SOCKET, SO_RCVTIMEO, pack "q2", 3, 0; syswrite $c, $what; my $b; return ($c, sysread $c, $b, 100) }
sub served { my ($c, $n) = say(@_); return $n ? $c : undef }
sub twice { my ($port, $what) = @_; my ($c) = say($port, $good);
	if ($c) { setsockopt $c, SOL_SOCKET, SO_LINGER, pack "ii", 1, 0; close $c } return served($port, $what) }
@kept = grep { $_ } map { twice($_, $good) } 41000 .. 41019, 42000 .. 42009;
print scalar @kept, " served, "; open $f, ">", "$dir/ready"; select undef, undef, undef, 0.02 until -e "$dir/go";
print scalar(grep { syswrite $_, "ping"; sysread $_, $b, 100 } @kept), " live on, ";
print scalar(grep { $_ } map { twice($_, $evil) } 41500 .. 41509), " of another name"`

// A connection on the ports of one that has just ended is a flow of its own: it is
// opened at once, outlives the next change of the rules and inherits nothing.
func TestPortsThatAreUsedAgainAtOnce(t *testing.T) {
	need(t, "perl")
	s, at := oddServer(t, func(_ *site, listen string) []string { return []string{"perl", "-e", answering, listen} })
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		r, err := s.Node.Run(t.Context(), lab.Cmd{Argv: []string{"perl", "-e", reusing, fmt.Sprintf("%s:8543", at),
			hex.EncodeToString(clientHello(t, "odd.example.net", true)), hex.EncodeToString(clientHello(t, "evil.example", true)), dir}})
		said <- fmt.Sprint(string(r.Stdout), string(r.Stderr), err)
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the connections are not opened")
		}
	}
	s.write(example(t, "seed.yaml") + morePorts + "- {name: another.example.net, ports: https, reason: test}\n")
	s.awaitLog("new rules in force", 1)
	write(t, filepath.Join(dir, "go"), nil)
	if got := <-said; got != "30 served, 30 live on, 0 of another name<nil>" {
		t.Error(got)
	}
}

// repeating sends each SYN that leaves the node twice more, 0.3 and 0.6 s later, as a
// network may. The kernel leaves the sum of a segment to a card that is not there.
const repeating = `
use Time::HiRes "time"; socket $s, 17, 3, 0x0300 or die;
ioctl $s, 0x8933, $link = pack("a16x24", "eth0") or die; $index = unpack "x16l", $link; # SIOCGIFINDEX
bind $s, pack "SnlSCCx8", 17, 3, $index, 0, 0, 0 or die; open $f, ">", $ARGV[0];
while (1) {
	@due = grep { $_->[0] > time or (send($s, $_->[1], 0), 0)[1] } @due;
	vec($in = "", fileno $s, 1) = 1;
	if (select $in, undef, undef, 0.05) {
		recv $s, $p, 2000, 0; ($type, $six) = (unpack("n", substr $p, 12), unpack("n", substr $p, 12) == 0x86dd);
		$at = $six ? 54 : 34; $proto = ord substr $p, $six ? 20 : 23, 1;
		next unless ($six || $type == 0x800) && $proto == 6 && (ord(substr $p, $at + 13, 1) & 0x17) == 2 && !$ours{$p};
		substr($p, $at + 16, 2) = "\0\0"; $tcp = substr $p, $at;
		$sum = 0; $sum += $_ for unpack "n*", substr($p, $six ? 22 : 26, $six ? 32 : 8) . pack("nn", 6, length $tcp) . $tcp;
		$sum = ($sum >> 16) + ($sum & 0xffff) for 1 .. 3; substr($p, $at + 16, 2) = pack "n", ~$sum & 0xffff;
		push @due, [time + $_, $p] for 0.3, 0.6; $ours{$p} = 1 } }`

// The network may deliver a SYN again behind what it has opened. That ends no flow,
// and does not come to the server, which would open another connection once it has
// lost the first.
func TestASYNThatComesAgainEndsNoFlow(t *testing.T) {
	need(t, "perl", "nft")
	text := strings.Replace(example(t, "seed-all.yaml")+"allow:"+twoOfTheOwners, "kept.example.net, ports: https", "kept.example.net, ports: tcp/443", 1)
	s := withGateway(t, text)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(dir, "ready")
	if _, err := s.Node.Start(t.Context(), lab.Cmd{Argv: []string{"perl", "-e", repeating, ready}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing repeats SYNs")
		}
	}
	syns := func(at *lab.Agent, rule string) {
		s.script(at, "nft 'table inet seen { counter n {}; chain c { type filter hook prerouting priority -300; tcp dport 443 tcp flags & (syn | ack) == syn "+rule+" counter name n; }; }'")
	}
	syns(s.Gateway, "iifname inside")
	syns(s.Internet.Agent, "")
	const n = 4 << 20
	six, err := s.Ask(t.Context(), client.Question{Name: "packages.microsoft.com", Type: "AAAA"})
	if err != nil || len(six.Addrs) == 0 {
		t.Fatalf("%+v %v", six, err)
	}
	flows := []client.Target{{Name: "gone.example.net"}, {Name: "kept.example.net"}, {Name: "packages.microsoft.com", Addr: six.Addrs[0], Source: s.Plan.Sources[slices.IndexFunc(s.Plan.Sources, netip.Addr.Is6)]}}
	done := make(chan string)
	for _, target := range flows {
		target.Kind, target.Port, target.Path, target.Timeout = client.HTTPS, 443, fmt.Sprintf("/slow/%d", n), 15*time.Second
		go func() {
			_, got := s.Reach(t.Context(), target)
			if !got.OK || got.SHA256 != internet.Hash(n) {
				done <- fmt.Sprintf("%s: %+v", target.Name, got)
				return
			}
			done <- ""
		}()
	}
	for range flows {
		if wrong := <-done; wrong != "" {
			t.Error(wrong)
		}
	}
	for at, want := range map[*lab.Agent]int{s.Gateway: 3 * len(flows), s.Internet.Agent: len(flows)} {
		if got := s.script(at, "nft list counter inet seen n"); !strings.Contains(got, fmt.Sprintf("packets %d ", want)) {
			t.Errorf("SYNs at %s: want %d, got %s", at.Name, want, got)
		}
	}
}
