// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bytes"

	"github.com/sallyport/sallyport/flow"
)

// lines walks the lines of a head.
type lines struct {
	b  []byte // at most MaxHead
	at int    // where the next line begins
}

// next returns the next line without its CRLF. When more is true it has not
// ended yet; ok is false when it ends in a bare line feed or holds a control
// character other than a tab.
func (l *lines) next() (line []byte, more, ok bool) {
	rest := l.b[l.at:]
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		return nil, true, false
	}
	if end == 0 || rest[end-1] != '\r' || !isText(rest[:end-1]) {
		return nil, false, false
	}
	l.at += end + 1
	return rest[:end-1], false, true
}

// partial is what ReadRequest returns for a head that is not whole.
func (l *lines) partial() (Request, int, bool, flow.Reason) {
	if len(l.b) == MaxHead {
		return Request{}, 0, false, flow.MalformedRequest
	}
	return Request{}, 0, true, flow.NotDecided
}

// isText reports whether b has no control characters but tabs.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isToken reports whether c may stand in a token (RFC 9110 section 5.6.2).
func isToken(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
}

func isHex(c byte) bool { return hexValue(c) >= 0 }

// hexValue returns the value of a hexadecimal digit, -1 when c is none.
func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// is reports whether b is the lower-case ASCII text, in any case.
func is(b []byte, text string) bool {
	if len(b) != len(text) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != text[i] {
			return false
		}
	}
	return true
}

// trim drops optional white space (RFC 9110 section 5.6.3) at both ends.
func trim(b []byte) []byte { return bytes.Trim(b, " \t") }
