// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/flow"
)

// statusOf returns the status that tells a client of a reason.
func statusOf(reason flow.Reason) (code int, phrase string) {
	switch reason {
	case flow.MalformedRequest, flow.AmbiguousHost, flow.InvalidName, flow.NotHTTP:
		return 400, "Bad Request"
	case flow.UpstreamFailed:
		return 502, "Bad Gateway"
	case flow.Overload:
		return 503, "Service Unavailable"
	}
	return 403, "Forbidden"
}

// answer returns a response that says why a request goes nowhere. The reason is in
// the status line, too, which is all that most clients show of a CONNECT. name is what
// the client called the host, as a canonical name or as it came; it is quoted
// unless every byte of it may stand in a name.
func answer(reason flow.Reason, name, method string) []byte {
	verb := "denied"
	if reason == flow.UpstreamFailed || reason == flow.Overload {
		verb = "failed"
	}
	if !isPlain(name) {
		name = strconv.QuoteToASCII(name)
	}
	body := fmt.Sprintf("sallyport: %s: %s (%s): %s\n", verb, reason.Text(), reason, name)
	code, phrase := statusOf(reason)
	head := fmt.Sprintf("HTTP/1.1 %d %s (sallyport: %s)\r\nContent-Type: text/plain; charset=us-ascii\r\nX-Sallyport-Reason: %s\r\n"+
		"Cache-Control: no-store\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", code, phrase, reason, reason, len(body))
	if method == "HEAD" {
		body = ""
	}
	return []byte(head + body)
}

// isPlain reports whether s looks like a host name: nothing in it can be taken
// for markup by a client that guesses.
func isPlain(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != ':' {
			return false
		}
	}
	return s != ""
}
