// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bufio"
	"crypto/sha256"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/proxypath/proxytest"
)

// helloRetry is a server that asks for another hello, serverHello one that does not.
func helloRetry() string {
	random := sha256.Sum256([]byte("HelloRetryRequest"))
	return "\x16\x03\x03\x00\x58\x02\x00\x00\x54\x03\x03" + string(random[:]) + string(make([]byte, 50)) + "\x14\x03\x03\x00\x01\x01"
}

const serverHello = "\x16\x03\x03\x00\x58\x02\x00\x00\x54\x03\x03 a random of a server that is content"

// TestAnotherHelloMustNameTheSameHost has a server that asks for another hello and
// would serve whatever that names.
func TestAnotherHelloMustNameTheSameHost(t *testing.T) {
	other, same := string(proxytest.Hello(t, "b.example")), string(proxytest.Hello(t, "a.example"))
	for _, tt := range []struct {
		about  string
		then   string // what the client says when it was asked
		ahead  bool   // it does so ahead of the question
		reason flow.Reason
		seen   string
	}{
		{"the same", same, false, flow.RuleMatched, "a.example"},
		{"the same behind early data", early + same, false, flow.RuleMatched, "a.example"},
		{"the same, sent ahead", early + same, true, flow.RuleMatched, "a.example"},
		{"another with a rule", other, false, flow.NameAddressMismatch, "b.example"},
		{"another without", string(proxytest.Hello(t, "c.example")), false, flow.NameNotAllowed, "c.example"},
		{"another sent ahead", early + other, true, flow.NameAddressMismatch, "b.example"},
		{"none", early + "GET / HTTP/1.1\r\n\r\n", false, flow.MalformedHello, "a.example"},
		{"two", same + other, false, flow.RuleMatched, "a.example"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			r := strictly(t, Limits{})
			heard := make(chan string, 1)
			r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
				b := make([]byte, len(same))
				_, _ = io.ReadFull(br, b)
				_, _ = io.WriteString(c, helloRetry())
				second := make([]byte, 6000)
				n, _ := io.ReadAtLeast(br, second, 700)
				heard <- string(second[:n])
				_, _ = io.WriteString(c, serverHello)
			})
			c, br := r.Dial()
			if tt.ahead {
				r.Send(c, same+tt.then)
			} else {
				r.Send(c, same)
			}
			question := make([]byte, len(helloRetry()))
			if _, err := io.ReadFull(br, question); err != nil || string(question) != helloRetry() {
				t.Fatalf("the client got %q, %v", question, err)
			}
			if !tt.ahead {
				r.Send(c, tt.then)
			}
			if tt.reason == flow.RuleMatched {
				b := make([]byte, len(serverHello))
				if _, err := io.ReadFull(br, b); err != nil || string(b) != serverHello {
					t.Errorf("the client got %q, %v", b, err)
				}
				want := tt.then
				if tt.about == "two" {
					want = same // the other waits for what the server says to it
				}
				if got := <-heard; len(got) > len(want) || got != want[:len(got)] {
					t.Errorf("the server got %d bytes that are not those of the client", len(got))
				}
			} else {
				r.WantReset(br)
				if got := <-heard; len(got) > len(early) {
					t.Errorf("the server got %d bytes of another hello", len(got))
				}
			}
			records := r.Recorded(2)
			if len(records) != 2 || records[0].Decision.Reason != flow.RuleMatched || records[1].Decision.Reason != tt.reason || records[1].Flow.Name.String() != tt.seen {
				t.Errorf("records %+v", records)
			}
		})
	}
}

// A server that is asked by somebody who never goes on is not held for long.
func TestAClientThatDoesNotAnswerTheQuestion(t *testing.T) {
	r := strictly(t, Limits{})
	hello := proxytest.Hello(t, "a.example")
	ended := make(chan error, 1)
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		_, _ = io.ReadFull(br, make([]byte, len(hello)))
		_, _ = io.WriteString(c, helloRetry())
		_, err := br.ReadByte()
		ended <- err
	})
	c, br := r.Dial()
	r.Send(c, string(hello))
	if _, err := io.ReadFull(br, make([]byte, len(helloRetry()))); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if err := <-ended; err != io.EOF {
		t.Errorf("the server got %v", err)
	}
}

// A connection that ends where another hello was asked for leaves nothing behind.
func TestAServerThatEndsBehindTheHello(t *testing.T) {
	r := strictly(t, Limits{})
	hello := proxytest.Hello(t, "a.example")
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) { _, _ = io.ReadFull(br, make([]byte, len(hello))) })
	c, br := r.Dial()
	r.Send(c, string(slices.Concat(hello, hello)))
	if b, err := io.ReadAll(br); len(b) > 0 {
		t.Errorf("the client got %q, %v", b, err)
	}
	if end := r.WantClosed(1)[0]; end.BytesOut != uint64(len(hello)) || end.Tuple.Dst != netip.AddrPortFrom(addrA, 443) {
		t.Errorf("end %+v", end)
	}
}

// A client that ends its side within the handshake leaves nobody waiting.
func TestASessionWhoseClientHasEndedItsSideEnds(t *testing.T) {
	for range 20 {
		r := strictly(t, Limits{})
		hello := proxytest.Hello(t, "a.example")
		r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
			_, _ = io.ReadAll(br)
			_, _ = io.WriteString(c, helloRetry()+helloRetry()+helloRetry()+helloRetry()+helloRetry()+"\x15\x03\x03\x00\x02\x02\x28")
		})
		c, br := r.Dial()
		r.Send(c, string(hello)+early)
		_ = c.CloseWrite()
		if b, err := io.ReadAll(br); err != nil || len(b) != 5*len(helloRetry())+7 {
			t.Fatalf("the client got %d bytes, %v", len(b), err)
		}
		r.WantClosed(1)
	}
}
