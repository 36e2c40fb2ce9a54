// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// scanCut scans b in pieces of the sizes that next returns.
func scanCut(b []byte, next func() int) (n int, length uint64, done bool, err error) {
	var c Chunks
	for n < len(b) && !done && err == nil {
		var k int
		k, done, err = c.Scan(b[n:min(len(b), n+next())])
		n += k
	}
	return n, c.Length(), done, err
}

func TestChunks(t *testing.T) {
	tests := map[string]struct {
		body   string
		length uint64
	}{
		"an empty body":                {"0\r\n\r\n", 0},
		"one chunk":                    {"5\r\nhello\r\n0\r\n\r\n", 5},
		"two chunks":                   {"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", 15},
		"hexadecimal in both cases":    {"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", 21},
		"leading zeros":                {"0005\r\nhello\r\n000\r\n\r\n", 5},
		"sixteen digits":               {"0000000000000001\r\nx\r\n0\r\n\r\n", 1},
		"content that looks like ends": {"7\r\n0\r\n\r\n0\n\r\n0\r\n\r\n", 7},
		"an extension":                 {"5;name=value\r\nhello\r\n0;last\r\n\r\n", 5},
		"a trailer":                    {"5\r\nhello\r\n0\r\nDigest: x\r\nX-Y:\r\n\r\n", 5},
		"an extension on every chunk":  {strings.Repeat("14;"+strings.Repeat("x", 20)+"\r\n"+strings.Repeat("y", 20)+"\r\n", 1000) + "0\r\n\r\n", 20000},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			b := []byte(tt.body + "GET / HTTP/1.1\r\n")
			for _, size := range []int{len(b), 1, 2, 3, 7} {
				n, length, done, err := scanCut(b, func() int { return size })
				if n != len(tt.body) || length != tt.length || !done || err != nil {
					t.Errorf("in pieces of %d: ends at %d with %d bytes done=%t %v, want %d with %d", size, n, length, done, err, len(tt.body), tt.length)
				}
			}
			if n, done, err := new(Chunks).Scan(b[:len(tt.body)-1]); n != len(tt.body)-1 || done || err != nil {
				t.Errorf("one byte short: %d done=%t %v", n, done, err)
			}
		})
	}
}

func TestChunksRefuses(t *testing.T) {
	tests := map[string]struct {
		body string
		want error
	}{
		"no size":                          {"\r\n", ErrChunk},
		"a size that is no number":         {"x\r\n", ErrChunk},
		"a sign":                           {"+5\r\n", ErrChunk},
		"a hexadecimal prefix":             {"0x5\r\n", ErrChunk},
		"seventeen digits":                 {"00000000000000005\r\n", ErrChunk},
		"a size over 2^63":                 {"8000000000000000\r\n", ErrChunk},
		"a size of 2^64 - 1":               {"ffffffffffffffff\r\n", ErrChunk},
		"sizes that overflow together":     {"1\r\nx\r\n7fffffffffffffff\r\n", ErrChunk},
		"a space before the size":          {" 5\r\n", ErrChunk},
		"a space behind the size":          {"5 \r\n", ErrChunk},
		"a tab before an extension":        {"5\t;x\r\n", ErrChunk},
		"a bare line feed":                 {"5\n", ErrChunk},
		"a bare CR":                        {"5\rx", ErrChunk},
		"a bare line feed in an extension": {"5;x\n", ErrChunk},
		"a bare CR in an extension":        {"5;x\ry\r\n", ErrChunk},
		"a NUL in an extension":            {"5;\x00\r\n", ErrChunk},
		"a long extension":                 {"5;" + strings.Repeat("x", 257), ErrChunk},
		"more extension than content":      {strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\ny\r\n", 100), ErrChunk},
		"content longer than its size":     {"5\r\nhello!\r\n", ErrChunk},
		"content shorter than its size":    {"5\r\nhell\r\n0\r\n\r\n", ErrChunk},
		"a line feed behind the content":   {"5\r\nhello\n", ErrChunk},
		"a bare line feed at the end":      {"0\r\n\n", ErrTrailer},
		"a bare line feed of a trailer":    {"0\r\nX: y\n", ErrTrailer},
		"a folded trailer":                 {"0\r\nX: y\r\n z\r\n", ErrTrailer},
		"a trailer without a name":         {"0\r\n: y\r\n", ErrTrailer},
		"a trailer without a colon":        {"0\r\nX\r\n", ErrTrailer},
		"a space before the colon":         {"0\r\nX : y\r\n", ErrTrailer},
		"Host in the trailer":              {"0\r\nHost: b\r\n", ErrTrailer},
		"Content-Length in the trailer":    {"0\r\ncontent-LENGTH: 5\r\n", ErrTrailer},
		"Transfer-Encoding in the trailer": {"0\r\nTransfer-Encoding: x\r\n", ErrTrailer},
		"trailers without an end":          {"0\r\n" + strings.Repeat("X: y\r\n", 4000), ErrTrailer},
		"a trailer line without an end":    {"0\r\nX: " + strings.Repeat("y", 20000), ErrTrailer},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			var at [2]int
			for i, size := range []int{len(tt.body), 1} {
				n, _, done, err := scanCut([]byte(tt.body), func() int { return size })
				if done || err != tt.want {
					t.Errorf("in pieces of %d: done=%t %v, want %v", size, done, err, tt.want)
				}
				at[i] = n
			}
			if at[0] != at[1] {
				t.Errorf("refused at %d whole, at %d byte by byte", at[0], at[1])
			}
		})
	}
}

func TestChunksErrorIsFinal(t *testing.T) {
	var c Chunks
	_, _, _ = c.Scan([]byte("x"))
	if n, done, err := c.Scan([]byte("0\r\n\r\n")); n != 0 || done || err != ErrChunk {
		t.Errorf("got %d done=%t %v", n, done, err)
	}
}

func TestChunksNoAllocs(t *testing.T) {
	b := []byte("5;x\r\nhello\r\n0\r\nDigest: x\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		var c Chunks
		_, _, _ = c.Scan(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzChunks states: nothing panics; the answer does not depend on how the
// body was cut; and a body that is done here ends at the same byte and with as
// much content for net/http.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint64(1))
	f.Add([]byte("a;b=c\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET"), uint64(2))
	f.Add([]byte("1\r\nx\r\n7fffffffffffffff\r\n"), uint64(3))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		n, length, done, err := scanCut(b, func() int { return len(b) })
		random := rand.New(rand.NewPCG(seed, 0))
		n2, length2, done2, err2 := scanCut(b, func() int { return 1 + random.IntN(8) })
		if n != n2 || length != length2 || done != done2 || err != err2 {
			t.Fatalf("%q: whole %d %d %t %v, cut %d %d %t %v", b, n, length, done, err, n2, length2, done2, err2)
		}
		if !done {
			return
		}
		stream := append([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), b...)
		br := bufio.NewReaderSize(bytes.NewReader(stream), len(stream)+1)
		req, err := http.ReadRequest(br)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.Copy(io.Discard, req.Body)
		if err != nil || uint64(got) != length {
			t.Fatalf("%q: %d bytes, net/http %d (%v)", b, length, got, err)
		}
		if end := len(b) - br.Buffered(); end != n {
			t.Fatalf("%q ends at %d, net/http at %d", b, n, end)
		}
	})
}
