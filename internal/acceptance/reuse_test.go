// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
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
