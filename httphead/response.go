// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bytes"
	"errors"

	"github.com/sallyport/sallyport/flow"
)

// Errors of ReadResponse. A server's mistake is no reason to deny a request, so
// these are not flow reasons.
var (
	ErrNotHTTP   = errors.New("the answer is not HTTP/1.x")
	ErrMalformed = errors.New("the answer is malformed, or its end can be read in two ways")
)

// Response is what a response head says.
type Response struct {
	Status    int // 100 to 999
	Minor     int // HTTP/1.Minor: 0 or 1
	Body      Body
	KeepAlive bool // the server will read another request on this connection
}

// IsInterim reports whether the final response to the same request is still to
// come (RFC 9110 section 15.2).
func (r Response) IsInterim() bool { return r.Status < 200 && !r.IsUpgrade() }

// IsUpgrade reports whether the connection leaves HTTP/1.x behind this head.
func (r Response) IsUpgrade() bool { return r.Status == 101 }

// ReadResponse reads a response head at the front of b, the answer to a
// request with the given method. When more is true the head is not whole yet
// and nothing is wrong so far; n is the length of the head with its final empty
// line. An answer, once given, stays the same for every longer b.
func ReadResponse(b []byte, method string) (r Response, n int, more bool, err error) {
	const prefix = "HTTP/1."
	if k := min(len(b), len(prefix)); string(b[:k]) != prefix[:k] {
		return Response{}, 0, false, ErrNotHTTP
	}
	l := lines{b: b[:min(len(b), MaxHead)]}
	var f fields
	for first := true; ; first = false {
		line, more, ok := l.next()
		switch {
		case more && len(l.b) == MaxHead:
			return Response{}, 0, false, ErrMalformed
		case more:
			return Response{}, 0, true, nil
		case !ok:
			return Response{}, 0, false, ErrMalformed
		}
		if first {
			if !r.statusLine(line) {
				return Response{}, 0, false, ErrMalformed
			}
			continue
		}
		if len(line) == 0 {
			break
		}
		if f.add(line) != flow.NotDecided {
			return Response{}, 0, false, ErrMalformed
		}
	}
	if !r.frame(&f, method) {
		return Response{}, 0, false, ErrMalformed
	}
	return r, l.at, false, nil
}

// statusLine reads a status line (RFC 9112 section 4). Servers leave out the
// space before an empty reason phrase; nobody reads that differently.
func (r *Response) statusLine(line []byte) (ok bool) {
	version, rest, _ := bytes.Cut(line, []byte{' '})
	if r.Minor, ok = minorVersion(version); !ok {
		return false
	}
	if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' || rest[0] == '0' {
		return false
	}
	for _, c := range rest[:3] {
		if c < '0' || c > '9' {
			return false
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	return true
}

// frame finds where the response ends (RFC 9112 section 6.3).
func (r *Response) frame(f *fields, method string) bool {
	body, given, ok := f.framing(r.Minor)
	r.KeepAlive = f.persists(r.Minor)
	noBody := r.Status < 200 || r.Status == 204
	switch {
	case !ok || noBody && (body != Body{}):
		return false
	case noBody || r.Status == 304 || method == "HEAD":
		return true
	case given:
		r.Body = body
	default:
		r.Body, r.KeepAlive = Body{Kind: UntilClose}, false
	}
	return true
}
