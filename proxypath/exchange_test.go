// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// readHeadOf reads a request head as a server does, without its body.
func readHeadOf(br *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// Answers, as a server may frame them, arrive byte for byte, and the connection
// goes on or ends as it would without the proxy.
func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		method, version, more string // of the request
		answer                string
		closes                bool // the server closes behind it
		next                  bool // another request works on the same connection
	}{
		"sized":                           {answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", next: true},
		"empty":                           {answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", next: true},
		"chunked with a trailer":          {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nDigest: y\r\n\r\n", next: true},
		"until close":                     {answer: "HTTP/1.1 200 OK\r\n\r\nhello until the end", closes: true},
		"until close of nothing":          {answer: "HTTP/1.1 200 OK\r\n\r\n", closes: true},
		"HEAD with a length":              {method: "HEAD", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", next: true},
		"204":                             {answer: "HTTP/1.1 204 No Content\r\n\r\n", next: true},
		"304 with a length":               {answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n", next: true},
		"103 before 200":                  {answer: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", next: true},
		"Connection: close from a server": {answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", closes: true},
		"Connection: close from a client": {more: "Connection: close\r\n", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		"HTTP/1.0":                        {version: "1.0", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		"HTTP/1.0 kept alive":             {version: "1.0", more: "Connection: keep-alive\r\n", answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", next: true},
		"HTTP/1.0 server until close":     {version: "1.0", answer: "HTTP/1.0 200 OK\r\n\r\nhello", closes: true},
	}
	for about, tt := range tests {
		t.Run(strings.NewReplacer(" ", "-", ":", "").Replace(about), func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{len(tt.answer), 1} {
				r := start(t, Limits{})
				r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
					for readHeadOf(br) != "" {
						for i := 0; i < len(tt.answer); i += size {
							_, _ = io.WriteString(c, tt.answer[i:i+size])
						}
						if tt.closes {
							return
						}
					}
				})
				method, version := tt.method, tt.version
				if method == "" {
					method = "GET"
				}
				if version == "" {
					version = "1.1"
				}
				request := method + " / HTTP/" + version + "\r\nHost: a.example\r\n" + tt.more + "\r\n"
				c, br := r.Dial()
				r.Send(c, request)
				b := make([]byte, len(tt.answer))
				if _, err := io.ReadFull(br, b); err != nil || string(b) != tt.answer {
					t.Fatalf("got %q %v", b, err)
				}
				if !tt.next {
					if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
						t.Errorf("behind the answer: %q %v", rest, err)
					}
					continue
				}
				r.Send(c, request)
				if _, err := io.ReadFull(br, b); err != nil || string(b) != tt.answer {
					t.Errorf("the second time: %q %v", b, err)
				}
				r.Recorded(2)
				if len(r.wentTo()) != 1 {
					t.Errorf("dialled %v", r.wentTo())
				}
			}
		})
	}
}

// An interim answer is not for a client of HTTP/1.0 (RFC 9110 section 15.2).
func TestInterimAnswersAreKeptFromHTTP10(t *testing.T) {
	r := start(t, Limits{})
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		readHeadOf(br)
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	c, br := r.Dial()
	r.Send(c, "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n")
	if b, err := io.ReadAll(br); err != nil || string(b) != "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" {
		t.Errorf("got %q %v", b, err)
	}
}

// Answers that cannot be passed on.
func TestBrokenAnswers(t *testing.T) {
	tests := map[string]struct {
		answer string
		status int // 0: the client is cut off within the answer
	}{
		"nothing":                   {"", 502},
		"half a head":               {"HTTP/1.1 200 OK\r\nConte", 502},
		"no HTTP":                   {"SSH-2.0-x\r\n", 502},
		"TE with CL":                {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502},
		"a 101 nobody asked for":    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 502},
		"interim without end":       {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100), 502},
		"a head over 64 KiB":        {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 70<<10), 502},
		"a body that ends early":    {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", 0},
		"chunks that end early":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0},
		"chunks that are no chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\n", 0},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			t.Parallel()
			r := start(t, Limits{})
			r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
				readHeadOf(br)
				_, _ = io.WriteString(c, tt.answer)
			})
			c, br := r.Dial()
			r.Send(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			var res *http.Response
			var err error
			for {
				if res, err = http.ReadResponse(br, nil); err != nil || res.StatusCode >= 200 {
					break
				}
			}
			switch {
			case tt.status == 0:
				if err == nil {
					_, err = io.ReadAll(res.Body)
				}
				if err == nil {
					t.Error("the answer seems whole")
				}
			case err != nil:
				t.Fatal(err)
			case res.StatusCode != tt.status || res.Header.Get("X-Sallyport-Reason") != "upstream-failed":
				t.Errorf("got %d %v", res.StatusCode, res.Header)
			}
			r.wantOne(flow.RuleMatched) // what was decided, and sent
		})
	}
}

func TestExpectContinue(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo) // net/http sends the 100 when the body is read
	c, br := r.Dial()
	for range 2 {
		r.Send(c, "POST /x HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		if line, _ := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		_, _ = br.ReadString('\n')
		r.Send(c, "hello")
		if res, body := r.Read(br, "POST"); res.StatusCode != 200 || body != "a.example/x hello" {
			t.Fatalf("got %d %q", res.StatusCode, body)
		}
	}
	r.Recorded(2)
}

// A server that refuses without a 100 must not read the body as a request: the
// body never reaches it, even when the client did not wait.
func TestARefusedExpectNeverSendsItsBody(t *testing.T) {
	r := start(t, Limits{})
	got := make(chan string, 1)
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		readHeadOf(br)
		_, _ = io.WriteString(c, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
		b, _ := io.ReadAll(br)
		got <- string(b)
	})
	c, br := r.Dial()
	const smuggled = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
	r.Send(c, "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 38\r\n\r\n"+smuggled)
	if res, _ := r.Read(br, "POST"); res.StatusCode != 417 {
		t.Errorf("got %d", res.StatusCode)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
	if b := <-got; b != "" {
		t.Errorf("the server got %q", b)
	}
}

func TestAServerThatKnowsNoExpectGetsTheBodyInTime(t *testing.T) {
	r := start(t, Limits{})
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		readHeadOf(br)
		b := make([]byte, 5)
		_, _ = io.ReadFull(br, b)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"+string(b))
	})
	status, body := r.say("POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
	if status != 200 || body != "hello" {
		t.Errorf("got %d %q", status, body)
	}
}

// A server that answers before it has read the request may take the rest for
// another one: neither connection is used again.
func TestAnEarlyAnswerIsTheLast(t *testing.T) {
	r := start(t, Limits{})
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		readHeadOf(br)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n")
		_, _ = io.Copy(io.Discard, br)
	})
	c, br := r.Dial()
	r.Send(c, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\nbegin")
	if res, body := r.Read(br, "POST"); res.StatusCode != 413 || body != "no\n" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
	r.wantOne(flow.RuleMatched)
}

func TestBodyAndAnswerFlowAtTheSameTime(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, func(w http.ResponseWriter, q *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		b := make([]byte, 10)
		for {
			n, err := q.Body.Read(b)
			_, _ = w.Write(b[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	})
	c, br := r.Dial()
	r.Send(c, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "two"} {
		time.Sleep(100 * time.Millisecond)
		r.Send(c, "3\r\n"+word+"\r\n")
		b := make([]byte, 3)
		if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != word {
			t.Fatalf("got %q %v", b, err)
		}
	}
	r.Send(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q %v", rest, err)
	}
}

// A chunked body that goes wrong on its way is cut off, not finished.
func TestABodyThatBreaksItsFramingIsCutOff(t *testing.T) {
	r := start(t, Limits{})
	got := make(chan string, 1)
	r.ServeRaw(addrA, func(_ net.Conn, br *bufio.Reader) {
		readHeadOf(br)
		b, _ := io.ReadAll(br)
		got <- string(b)
	})
	c, br := r.Dial()
	r.Send(c, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	time.Sleep(100 * time.Millisecond)
	r.Send(c, "0\n\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	if res, _ := r.Read(br, "POST"); res.StatusCode != 400 {
		t.Errorf("got %d", res.StatusCode)
	}
	if b := <-got; b != "3\r\nabc\r\n" {
		t.Errorf("the server got %q", b)
	}
	if es := r.Recorded(2); es[1].Decision.Reason != flow.MalformedRequest {
		t.Errorf("record %+v", es[1].Decision)
	}
}

func TestAClientThatHalfClosesGetsItsAnswer(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	c, br := r.Dial()
	r.Send(c, "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi")
	_ = c.CloseWrite()
	if _, body := r.Read(br, "POST"); body != "a.example/x hi" {
		t.Errorf("got %q", body)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

func TestAClientThatGoesAwayIsNoticedByTheServer(t *testing.T) {
	for about, request := range map[string]string{
		"in the body": "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 20\r\n\r\nhalf of it",
		"in chunks":   "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
	} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := start(t, Limits{})
			ended := make(chan error, 1)
			r.ServeRaw(addrA, func(_ net.Conn, br *bufio.Reader) {
				_, err := http.ReadRequest(br)
				if err != nil {
					t.Error(err)
				}
				_, err = io.ReadAll(br)
				ended <- err
			})
			c, _ := r.Dial()
			r.Send(c, request)
			time.Sleep(50 * time.Millisecond)
			_ = c.SetLinger(0)
			_ = c.Close()
			if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the server still waits")
			}
		})
	}
}

// A server closes a kept connection when it likes; the next request goes to a
// new one.
func TestAServerThatClosedAKeptConnectionIsDialledAgain(t *testing.T) {
	for about, wait := range map[string]time.Duration{"noticed": 100 * time.Millisecond, "perhaps not noticed": 0} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := start(t, Limits{})
			r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
				readHeadOf(br)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			})
			c, br := r.Dial()
			for i := range 5 {
				r.Send(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
				if res, body := r.Read(br, "GET"); res.StatusCode != 200 || body != "ok" {
					t.Fatalf("request %d: %d %q", i, res.StatusCode, body)
				}
				time.Sleep(wait)
			}
			r.Recorded(5)
		})
	}
}

// What a server sends unasked is no answer to the next request.
func TestAnUnaskedAnswerIsThrownAway(t *testing.T) {
	r := start(t, Limits{})
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		for readHeadOf(br) != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		}
	})
	c, br := r.Dial()
	for range 3 {
		r.Send(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		if _, body := r.Read(br, "GET"); body != "good" {
			t.Fatalf("got %q", body)
		}
	}
}

func TestSlowHeads(t *testing.T) {
	tests := map[string]struct {
		first  string // sent before the slow part
		slow   string
		reason flow.Reason
		status int // 0: a reset
	}{
		"silence":       {reason: flow.NotHTTP},
		"half a head":   {first: "GET / HTTP/1.1\r\nHost: a.exam", reason: flow.MalformedRequest, status: 400},
		"byte for byte": {slow: "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", reason: flow.MalformedRequest, status: 400},
		"half a method": {first: "GE", reason: flow.MalformedRequest, status: 400},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			t.Parallel()
			r := start(t, Limits{Head: 250 * time.Millisecond})
			c, br := r.Dial()
			begin := time.Now()
			r.Send(c, tt.first)
			go func() {
				for _, b := range []byte(tt.slow) {
					time.Sleep(30 * time.Millisecond)
					_, _ = c.Write([]byte{b})
				}
			}()
			if tt.status == 0 {
				r.WantReset(c)
			} else if res, _ := r.Read(br, "GET"); res.StatusCode != tt.status {
				t.Errorf("got %d", res.StatusCode)
			}
			if took := time.Since(begin); took < 200*time.Millisecond || took > 2*time.Second {
				t.Errorf("told after %v", took)
			}
			r.wantOne(tt.reason)
			r.wantNoDial()
		})
	}
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	r := start(t, Limits{Idle: 200 * time.Millisecond})
	r.ServeHTTP(addrA, echo)
	c, br := r.Dial()
	r.Send(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	r.Read(br, "GET")
	begin := time.Now()
	if _, err := br.ReadByte(); err != io.EOF || time.Since(begin) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	r.wantOne(flow.RuleMatched)
}

// A server may think for long while an upload lasts, not while nothing moves.
func TestAServerThatStalls(t *testing.T) {
	r := start(t, Limits{Stall: time.Second})
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		head := readHeadOf(br)
		if strings.HasPrefix(head, "POST") {
			_, _ = io.ReadFull(br, make([]byte, 10))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return
		}
		_, _ = io.Copy(io.Discard, br)
	})
	if status, _ := r.say("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"); status != 502 {
		t.Errorf("a server that says nothing: %d", status)
	}
	c, br := r.Dial()
	r.Send(c, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n")
	for range 10 {
		time.Sleep(200 * time.Millisecond) // two seconds in all
		r.Send(c, "x")
	}
	if res, _ := r.Read(br, "POST"); res.StatusCode != 200 {
		t.Errorf("a slow upload: %d", res.StatusCode)
	}
}

func TestServeEndsWithRequestsUnderWay(t *testing.T) {
	r := start(t, Limits{})
	r.ServeRaw(addrA, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	c, _ := r.Dial()
	r.Send(c, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nx")
	idle, _ := r.Dial()
	r.Recorded(1)
	r.Stop()
	begin := time.Now()
	r.WantReset(c)
	r.WantReset(idle)
	if err := <-r.Ended; err != nil || time.Since(begin) > time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	r.Ended <- nil
}
