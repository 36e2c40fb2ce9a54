// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestReadResponse(t *testing.T) {
	untilClose, chunked := Body{Kind: UntilClose}, Body{Kind: Chunked}
	tests := map[string]struct {
		method, head string
		want         Response
	}{
		"a sized body":                        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Response{200, 1, Body{Sized, 5}, true}},
		"an empty body":                       {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Response{200, 1, Body{}, true}},
		"a chunked body":                      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Response{200, 1, chunked, true}},
		"neither is until close":              {"GET", "HTTP/1.1 200 OK\r\n\r\n", Response{200, 1, untilClose, false}},
		"until close cannot be kept alive":    {"GET", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", Response{200, 1, untilClose, false}},
		"a sized body, then close":            {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", Response{200, 1, Body{Sized, 5}, false}},
		"HTTP/1.0 closes":                     {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Response{200, 0, Body{Sized, 5}, false}},
		"HTTP/1.0 kept alive":                 {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", Response{200, 0, Body{Sized, 5}, true}},
		"HEAD has no body":                    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Response{200, 1, Body{}, true}},
		"HEAD has no chunks":                  {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Response{200, 1, Body{}, true}},
		"304 has no body":                     {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Response{304, 1, Body{}, true}},
		"204 has no body":                     {"GET", "HTTP/1.1 204 No Content\r\n\r\n", Response{204, 1, Body{}, true}},
		"100 has no body":                     {"POST", "HTTP/1.1 100 Continue\r\n\r\n", Response{100, 1, Body{}, true}},
		"101 has no body":                     {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", Response{101, 1, Body{}, true}},
		"an empty reason phrase":              {"GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", Response{200, 1, Body{}, true}},
		"no reason phrase":                    {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Response{200, 1, Body{}, true}},
		"a redirect with a Host-like field":   {"GET", "HTTP/1.1 302 Found\r\nLocation: http://b/\r\nContent-Length: 0\r\n\r\n", Response{302, 1, Body{}, true}},
		"a status outside the known hundreds": {"GET", "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n", Response{999, 1, Body{}, true}},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			b := []byte(tt.head + "behind")
			for k := range len(b) + 1 {
				r, n, more, err := ReadResponse(b[:k], tt.method)
				if wantMore := k < len(tt.head); err != nil || more != wantMore {
					t.Fatalf("after %d bytes: more=%t %v", k, more, err)
				}
				if !more && (r != tt.want || n != len(tt.head)) {
					t.Fatalf("got %+v %d, want %+v %d", r, n, tt.want, len(tt.head))
				}
			}
		})
	}
}

func TestReadResponseRefuses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := map[string]struct {
		head string
		want error
	}{
		"TLS":                             {"\x15\x03\x01", ErrNotHTTP},
		"HTTP/2":                          {"HTTP/2.0 200 OK\r\n\r\n", ErrNotHTTP},
		"a body of HTTP/0.9":              {"<html>", ErrNotHTTP},
		"a leading empty line":            {"\r\n" + ok, ErrNotHTTP},
		"HTTP/1.2":                        {"HTTP/1.2 200 OK\r\n\r\n", ErrMalformed},
		"two spaces before the status":    {"HTTP/1.1  200 OK\r\n\r\n", ErrMalformed},
		"a status of two digits":          {"HTTP/1.1 20 OK\r\n\r\n", ErrMalformed},
		"a status of four digits":         {"HTTP/1.1 2000 OK\r\n\r\n", ErrMalformed},
		"a status of zero":                {"HTTP/1.1 000 OK\r\n\r\n", ErrMalformed},
		"a status with a sign":            {"HTTP/1.1 +20 OK\r\n\r\n", ErrMalformed},
		"no status":                       {"HTTP/1.1\r\n\r\n", ErrMalformed},
		"a bare line feed":                {"HTTP/1.1 200 OK\n", ErrMalformed},
		"a folded field":                  {ok + "X: a\r\n b\r\n\r\n", ErrMalformed},
		"TE with CL":                      {ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", ErrMalformed},
		"two CL":                          {ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", ErrMalformed},
		"TE gzip, chunked":                {ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", ErrMalformed},
		"TE in HTTP/1.0":                  {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ErrMalformed},
		"204 with TE":                     {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ErrMalformed},
		"204 with a body":                 {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ErrMalformed},
		"100 with a body":                 {"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", ErrMalformed},
		"a head over 64 KiB":              {ok + "X: " + strings.Repeat("y", MaxHead), ErrMalformed},
		"a NUL in a field":                {ok + "X: \x00\r\n\r\n", ErrMalformed},
		"a space before the colon of CL":  {ok + "Content-Length : 5\r\n\r\n", ErrMalformed},
		"Connection drops Content-Length": {ok + "Connection: content-length\r\nContent-Length: 5\r\n\r\n", ErrMalformed},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			if _, n, more, err := ReadResponse([]byte(tt.head), "GET"); more || n != 0 || err != tt.want {
				t.Errorf("got more=%t n=%d %v, want %v", more, n, err, tt.want)
			}
		})
	}
}

func TestResponseKinds(t *testing.T) {
	for status, want := range map[int][2]bool{100: {true, false}, 101: {false, true}, 103: {true, false}, 200: {false, false}} {
		r := Response{Status: status}
		if r.IsInterim() != want[0] || r.IsUpgrade() != want[1] {
			t.Errorf("%d: interim=%t upgrade=%t, want %v", status, r.IsInterim(), r.IsUpgrade(), want)
		}
	}
}

func TestReadResponseNoAllocs(t *testing.T) {
	b := []byte("HTTP/1.1 200 OK\r\nDate: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { ReadResponse(b, "GET") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzReadResponse states: nothing panics; an answer about a prefix is the
// answer about the whole; and what is accepted, net/http accepts too, with the
// same status, framing and end.
func FuzzReadResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.0 304 x\r\nConnection: keep-alive\r\n\r\n",
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		r, n, more, err := ReadResponse(b, method)
		step := 1 + len(b)/64
		for k := 0; k < len(b); k += step {
			if r2, n2, m2, err2 := ReadResponse(b[:k], method); !m2 && (more || r2 != r || n2 != n || err2 != err) {
				t.Fatalf("%d of %d bytes: %+v %v, whole: more=%t %+v %v", k, len(b), r2, err2, more, r, err)
			}
		}
		if more || err != nil {
			return
		}
		br := bufio.NewReaderSize(bytes.NewReader(b), len(b)+1)
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("accepted %q, net/http: %v", b[:n], err)
		}
		if end := len(b) - br.Buffered(); end != n {
			t.Fatalf("head of %q ends at %d, net/http at %d", b, n, end)
		}
		if res.StatusCode != r.Status || res.ProtoMinor != r.Minor {
			t.Fatalf("%q: %+v, net/http %d HTTP/1.%d", b[:n], r, res.StatusCode, res.ProtoMinor)
		}
		want := bodyOf(res.ContentLength, res.TransferEncoding)
		if head || r.Status < 200 || r.Status == 204 || r.Status == 304 {
			want = Body{} // net/http tells what the fields say
		}
		if r.Body != want {
			t.Fatalf("body of %q is %v, net/http %v", b[:n], r.Body, want)
		}
		if r.KeepAlive && res.Close {
			t.Fatalf("%q keeps alive, net/http closes", b[:n])
		}
	})
}
