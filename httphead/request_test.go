// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// readGrowing reads b as it grows byte by byte and fails when an answer, once
// given, changes. at is the length it was given at, -1 when it never was.
func readGrowing(t *testing.T, b []byte) (r Request, n, at int, reason flow.Reason) {
	t.Helper()
	at = -1
	for k := range len(b) + 1 {
		got, gotN, more, gotReason := ReadRequest(b[:k])
		switch {
		case more && gotReason != flow.NotDecided:
			t.Fatalf("after %d bytes: more and %v at once", k, gotReason)
		case at < 0 && !more:
			r, n, at, reason = got, gotN, k, gotReason
		case at >= 0 && (more || gotN != n || gotReason != reason || got.Host != r.Host || got.Body != r.Body):
			t.Fatalf("answer %v %d, given after %d bytes, became %v %d more=%t after %d", reason, n, at, gotReason, gotN, more, k)
		}
	}
	return r, n, at, reason
}

// Rows that pass: what they say, and where the head ends.
func TestReadRequest(t *testing.T) {
	a := dnsname.MustParse("a.example")
	tests := map[string]struct {
		head string
		want Request // Host a.example, HTTP/1.1 and keep-alive are filled in
	}{
		"the plainest request":                 {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
		"no space behind the colon":            {"GET / HTTP/1.1\r\nHost:a.example\r\n\r\n", Request{}},
		"spaces around the host":               {"GET / HTTP/1.1\r\nHost:   a.example  \r\n\r\n", Request{}},
		"an upper-case host is folded":         {"GET / HTTP/1.1\r\nHost: A.EXAMPLE\r\n\r\n", Request{}},
		"a trailing dot is dropped":            {"GET / HTTP/1.1\r\nHost: a.example.\r\n\r\n", Request{}},
		"a trailing dot before a port":         {"GET / HTTP/1.1\r\nHost: a.example.:8080\r\n\r\n", Request{Port: 8080}},
		"the header name in any case":          {"GET / HTTP/1.1\r\nhOST: a.example\r\n\r\n", Request{}},
		"a port is read":                       {"GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", Request{Port: 8080}},
		"the highest port":                     {"GET / HTTP/1.1\r\nHost: a.example:65535\r\n\r\n", Request{Port: 65535}},
		"an absolute URI that agrees":          {"GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
		"an absolute URI agrees in any case":   {"GET HTTP://A.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
		"an absolute URI without a path":       {"GET http://a.example?x HTTP/1.1\r\nHost: a.example:80\r\n\r\n", Request{Port: 80}},
		"OPTIONS about the server":             {"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
		"a path with an empty segment":         {"GET //b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
		"a colon and a percent escape":         {"GET /a:b%2f HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
		"a bare percent in the query":          {"GET /?q=100% HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
		"a Content-Length":                     {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12\r\n\r\n", Request{Body: Body{Sized, 12}}},
		"a Content-Length of zero":             {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n", Request{}},
		"the longest Content-Length":           {"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 999999999999999999\r\n\r\n", Request{Body: Body{Sized, 999999999999999999}}},
		"a chunked body":                       {"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n", Request{Body: Body{Kind: Chunked}}},
		"an Upgrade field":                     {"GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n", Request{Upgrade: true}},
		"a Connection that says upgrade":       {"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\n\r\n", Request{Upgrade: true}},
		"an h2c upgrade":                       {"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", Request{Upgrade: true}},
		"a 100-continue":                       {"POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", Request{Body: Body{Sized, 1}, Expect100: true}},
		"obs-text in a field that is not ours": {"GET / HTTP/1.1\r\nHost: a.example\r\nX-Name: b\xfccher\r\n\r\n", Request{}},
		"a tab in a field that is not ours":    {"GET / HTTP/1.1\r\nHost: a.example\r\nX-Name:\ta\tb\r\n\r\n", Request{}},
		"an empty value":                       {"GET / HTTP/1.1\r\nX-Empty:\r\nHost: a.example\r\n\r\n", Request{}},
		"a token of odd characters as method":  {"M-SEARCH!~ / HTTP/1.1\r\nHost: a.example\r\n\r\n", Request{}},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r, n, at, reason := readGrowing(t, []byte(tt.head+"GET /next HTTP/1.1\r\nHost: b.example\r\n\r\n"))
			if reason != flow.NotDecided || n != len(tt.head) || at != n {
				t.Fatalf("got %v, head of %d bytes after %d, want not-decided, %d", reason, n, at, len(tt.head))
			}
			if r.Host != a || r.Minor != 1 || !r.KeepAlive {
				t.Errorf("host %q HTTP/1.%d keep-alive=%t", r.Host, r.Minor, r.KeepAlive)
			}
			if r.Port != tt.want.Port || r.Body != tt.want.Body || r.Upgrade != tt.want.Upgrade || r.Expect100 != tt.want.Expect100 {
				t.Errorf("got %+v, want %+v", r, tt.want)
			}
		})
	}
}

func TestReadRequestKeepAlive(t *testing.T) {
	for _, tt := range []struct {
		minor, connection string
		want              bool
	}{
		{"1", "", true},
		{"1", "Connection: close\r\n", false},
		{"1", "Connection: x, Close ,y\r\n", false},
		{"1", "Connection: keep-alive\r\nConnection: close\r\n", false},
		{"0", "", false},
		{"0", "Connection: Keep-Alive\r\n", true},
		{"0", "Connection: keep-alive, close\r\n", false},
	} {
		r, _, more, reason := ReadRequest([]byte("GET / HTTP/1." + tt.minor + "\r\nHost: a.example\r\n" + tt.connection + "\r\n"))
		if more || reason != flow.NotDecided || r.KeepAlive != tt.want {
			t.Errorf("HTTP/1.%s %q: more=%t %v keep-alive=%t, want %t", tt.minor, tt.connection, more, reason, r.KeepAlive, tt.want)
		}
	}
}

// Rows that are denied (B13 and beside it).
func TestReadRequestDenies(t *testing.T) {
	const get, host, end = "GET / HTTP/1.1\r\n", "Host: a.example\r\n", "\r\n"
	tests := map[string]struct {
		head string
		want flow.Reason
	}{
		// Not HTTP at all.
		"a TLS record":              {"\x16\x03\x01\x02\x00", flow.NotHTTP},
		"an SSH banner":             {"SSH-2.0-OpenSSH_9.6\r\n", flow.NotHTTP},
		"an HTTP/2 preface":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", flow.NotHTTP},
		"an SMTP greeting":          {"EHLO a.example\r\n", flow.NotHTTP},
		"an RTSP request":           {"OPTIONS * RTSP/1.0\r\nHost: a.example\r\n\r\n", flow.NotHTTP},
		"HTTP/0.9":                  {"GET /\r\n", flow.NotHTTP},
		"a leading empty line":      {"\r\n" + get + host + end, flow.NotHTTP},
		"a leading space":           {" " + get + host + end, flow.NotHTTP},
		"a method with a colon":     {"GE:T / HTTP/1.1\r\n", flow.NotHTTP},
		"a method of 33 characters": {strings.Repeat("A", 33) + " / HTTP/1.1\r\n", flow.NotHTTP},
		"a NUL in the method":       {"GE\x00T / HTTP/1.1\r\n", flow.NotHTTP},
		"a tab behind the method":   {"GET\t/ HTTP/1.1\r\n", flow.NotHTTP},

		// Request lines.
		"a lower-case version":          {"GET / http/1.1\r\n" + host + end, flow.MalformedRequest},
		"HTTP/2.0 in a request line":    {"GET / HTTP/2.0\r\n" + host + end, flow.MalformedRequest},
		"HTTP/1.2":                      {"GET / HTTP/1.2\r\n" + host + end, flow.MalformedRequest},
		"HTTP/1.10":                     {"GET / HTTP/1.10\r\n" + host + end, flow.MalformedRequest},
		"two spaces before the target":  {"GET  / HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"two spaces behind the target":  {"GET /  HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a space in the target":         {"GET /a b HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"no target":                     {"GET HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"CONNECT":                       {"CONNECT a.example:443 HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"CONNECT with a path":           {"CONNECT / HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a fragment":                    {"GET /#x HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a target without a slash":      {"GET a HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a star that is not OPTIONS":    {"GET * HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a broken escape in the path":   {"GET /%zz HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a cut escape in the path":      {"GET /%2 HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"UTF-8 in the target":           {"GET /ü HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"an https URI":                  {"GET https://a.example/ HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a URI with one slash":          {"GET http:/a.example/ HTTP/1.1\r\n" + host + end, flow.MalformedRequest},
		"a bare line feed":              {"GET / HTTP/1.1\n", flow.MalformedRequest},
		"a bare CR in the request line": {"GET /\rx HTTP/1.1\r\n", flow.MalformedRequest},

		// Two hosts, or none.
		"two Hosts":                      {get + host + "Host: b.example\r\n" + end, flow.AmbiguousHost},
		"two equal Hosts":                {get + host + host + end, flow.AmbiguousHost},
		"two Hosts in different case":    {get + host + "HOST: a.example\r\n" + end, flow.AmbiguousHost},
		"two empty Hosts":                {get + "Host:\r\nHost:\r\n" + end, flow.AmbiguousHost},
		"no Host":                        {get + "Accept: */*\r\n" + end, flow.AmbiguousHost},
		"no Host in HTTP/1.0":            {"GET / HTTP/1.0\r\n\r\n", flow.AmbiguousHost},
		"an empty Host":                  {get + "Host:\r\n" + end, flow.AmbiguousHost},
		"a Host of spaces":               {get + "Host:   \r\n" + end, flow.AmbiguousHost},
		"a Host that is only a port":     {get + "Host: :80\r\n" + end, flow.AmbiguousHost},
		"user information in Host":       {get + "Host: a:80@b\r\n" + end, flow.AmbiguousHost},
		"a user in Host":                 {get + "Host: a@b\r\n" + end, flow.AmbiguousHost},
		"a list in Host":                 {get + "Host: a, b\r\n" + end, flow.AmbiguousHost},
		"a list without spaces in Host":  {get + "Host: a,b\r\n" + end, flow.AmbiguousHost},
		"a space in Host":                {get + "Host: a b\r\n" + end, flow.AmbiguousHost},
		"a path in Host":                 {get + "Host: a.example/b\r\n" + end, flow.AmbiguousHost},
		"a backslash in Host":            {get + "Host: a.example\\b\r\n" + end, flow.AmbiguousHost},
		"a URI in Host":                  {get + "Host: http://a.example\r\n" + end, flow.AmbiguousHost},
		"an absolute URI against Host":   {"GET http://b.example/ HTTP/1.1\r\n" + host + end, flow.AmbiguousHost},
		"an absolute URI, another port":  {"GET http://a.example:81/ HTTP/1.1\r\n" + host + end, flow.AmbiguousHost},
		"an absolute URI without Host":   {"GET http://a.example/ HTTP/1.1\r\n" + end, flow.AmbiguousHost},
		"an absolute URI without a host": {"GET http:///x HTTP/1.1\r\n" + host + end, flow.AmbiguousHost},
		"a user in an absolute URI":      {"GET http://b@a.example/ HTTP/1.1\r\n" + host + end, flow.AmbiguousHost},

		// Hosts that are no names.
		"an IPv4 address":                  {get + "Host: 10.0.0.1\r\n" + end, flow.AddressAsName},
		"an IPv4 address with a port":      {get + "Host: 10.0.0.1:80\r\n" + end, flow.AddressAsName},
		"an IPv4 address with a dot":       {get + "Host: 10.0.0.1.\r\n" + end, flow.AddressAsName},
		"an IPv6 address":                  {get + "Host: [2001:db8::1]\r\n" + end, flow.AddressAsName},
		"an IPv6 address with a port":      {get + "Host: [2001:db8::1]:80\r\n" + end, flow.AddressAsName},
		"an IPv6 address, no brackets":     {get + "Host: 2001:db8::1\r\n" + end, flow.AddressAsName},
		"an IPv6 address with a zone":      {get + "Host: [fe80::1%25eth0]\r\n" + end, flow.AddressAsName},
		"a name in brackets":               {get + "Host: [a.example]\r\n" + end, flow.AddressAsName},
		"an address in an absolute URI":    {"GET http://10.0.0.1/ HTTP/1.1\r\n" + host + end, flow.AddressAsName},
		"a hexadecimal address":            {get + "Host: 0x7f000001\r\n" + end, flow.AddressAsName},
		"a decimal address":                {get + "Host: 2130706433\r\n" + end, flow.AddressAsName},
		"UTF-8 in Host":                    {get + "Host: b\xc3\xbccher.example\r\n" + end, flow.InvalidName},
		"Latin-1 in Host":                  {get + "Host: b\xfccher.example\r\n" + end, flow.InvalidName},
		"an ideographic full stop in Host": {get + "Host: a\xe3\x80\x82example\r\n" + end, flow.InvalidName},
		"a percent escape in Host":         {get + "Host: a%2eexample\r\n" + end, flow.InvalidName},
		"a percent NUL in Host":            {get + "Host: a.example%00.b\r\n" + end, flow.InvalidName},
		"an underscore in Host":            {get + "Host: a_b.example\r\n" + end, flow.InvalidName},
		"two trailing dots in Host":        {get + "Host: a.example..\r\n" + end, flow.InvalidName},
		"254 characters in Host":           {get + "Host: " + strings.Repeat("a23456789.", 25) + "abcd\r\n" + end, flow.InvalidName},
		"a quoted Host":                    {get + "Host: \"a.example\"\r\n" + end, flow.InvalidName},
		"a semicolon in Host":              {get + "Host: a.example;b\r\n" + end, flow.InvalidName},

		// Ports.
		"port 0":                     {get + "Host: a.example:0\r\n" + end, flow.MalformedRequest},
		"port 65536":                 {get + "Host: a.example:65536\r\n" + end, flow.MalformedRequest},
		"an empty port":              {get + "Host: a.example:\r\n" + end, flow.MalformedRequest},
		"a port with a sign":         {get + "Host: a.example:+80\r\n" + end, flow.MalformedRequest},
		"a port with a leading zero": {get + "Host: a.example:080\r\n" + end, flow.MalformedRequest},
		"a port that is no number":   {get + "Host: a.example:http\r\n" + end, flow.MalformedRequest},

		// Lines and characters.
		"a folded field":                  {get + host + "X: a\r\n b\r\n" + end, flow.MalformedRequest},
		"a folded Host":                   {get + "Host:\r\n a.example\r\n" + end, flow.MalformedRequest},
		"a first field that is folded":    {get + " Host: b\r\n" + host + end, flow.MalformedRequest},
		"a field folded with a tab":       {get + host + "\tX: a\r\n" + end, flow.MalformedRequest},
		"a space before the colon":        {get + "Host : a.example\r\n" + end, flow.MalformedRequest},
		"a tab before the colon":          {get + "Host\t: a.example\r\n" + end, flow.MalformedRequest},
		"a tab before the host":           {get + "Host:\ta.example\r\n" + end, flow.MalformedRequest},
		"a tab behind the host":           {get + "Host: a.example\t\r\n" + end, flow.MalformedRequest},
		"a field without a colon":         {get + host + "X\r\n" + end, flow.MalformedRequest},
		"an empty field name":             {get + host + ": x\r\n" + end, flow.MalformedRequest},
		"a field name that is no token":   {get + host + "X(y): x\r\n" + end, flow.MalformedRequest},
		"a bare line feed behind a field": {get + "Host: a.example\n" + end, flow.MalformedRequest},
		"a bare line feed at the end":     {get + host + "\n", flow.MalformedRequest},
		"a bare CR in a field":            {get + "Host: a.example\rX: y\r\n" + end, flow.MalformedRequest},
		"two CRs":                         {get + "Host: a.example\r\r\n" + end, flow.MalformedRequest},
		"a NUL in Host":                   {get + "Host: a.example\x00\r\n" + end, flow.MalformedRequest},
		"a NUL in another field":          {get + host + "X: a\x00\r\n" + end, flow.MalformedRequest},
		"a DEL":                           {get + host + "X: a\x7f\r\n" + end, flow.MalformedRequest},
		"an escape character":             {get + host + "X: \x1b[2J\r\n" + end, flow.MalformedRequest},
		"a vertical tab":                  {get + host + "X:\va\r\n" + end, flow.MalformedRequest},

		// Framing.
		"TE with CL":                    {get + host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" + end, flow.MalformedRequest},
		"CL with TE":                    {get + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" + end, flow.MalformedRequest},
		"CL 0 with TE":                  {get + host + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" + end, flow.MalformedRequest},
		"TE in HTTP/1.0":                {"GET / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n" + end, flow.MalformedRequest},
		"TE gzip, chunked":              {get + host + "Transfer-Encoding: gzip, chunked\r\n" + end, flow.MalformedRequest},
		"TE chunked, chunked":           {get + host + "Transfer-Encoding: chunked, chunked\r\n" + end, flow.MalformedRequest},
		"TE identity":                   {get + host + "Transfer-Encoding: identity\r\n" + end, flow.MalformedRequest},
		"TE in upper case":              {get + host + "Transfer-Encoding: Chunked\r\n" + end, flow.MalformedRequest},
		"TE in quotes":                  {get + host + "Transfer-Encoding: \"chunked\"\r\n" + end, flow.MalformedRequest},
		"TE with a parameter":           {get + host + "Transfer-Encoding: chunked;x\r\n" + end, flow.MalformedRequest},
		"an empty TE":                   {get + host + "Transfer-Encoding:\r\n" + end, flow.MalformedRequest},
		"two TE":                        {get + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + end, flow.MalformedRequest},
		"a vertical tab before chunked": {get + host + "Transfer-Encoding: \vchunked\r\n" + end, flow.MalformedRequest},
		"TE with an underscore":         {get + host + "Transfer_Encoding: chunked\r\n" + end, flow.MalformedRequest},
		"CL with an underscore":         {get + host + "Content_Length: 5\r\n" + end, flow.MalformedRequest},
		"two CL":                        {get + host + "Content-Length: 5\r\nContent-Length: 6\r\n" + end, flow.MalformedRequest},
		"two equal CL":                  {get + host + "Content-Length: 5\r\nContent-Length: 5\r\n" + end, flow.MalformedRequest},
		"a list of CL":                  {get + host + "Content-Length: 5, 5\r\n" + end, flow.MalformedRequest},
		"CL with a plus":                {get + host + "Content-Length: +5\r\n" + end, flow.MalformedRequest},
		"CL with a minus":               {get + host + "Content-Length: -5\r\n" + end, flow.MalformedRequest},
		"CL with a space inside":        {get + host + "Content-Length: 1 0\r\n" + end, flow.MalformedRequest},
		"CL in hexadecimal":             {get + host + "Content-Length: 0x5\r\n" + end, flow.MalformedRequest},
		"CL with a leading zero":        {get + host + "Content-Length: 010\r\n" + end, flow.MalformedRequest},
		"an empty CL":                   {get + host + "Content-Length:\r\n" + end, flow.MalformedRequest},
		"CL over 2^63":                  {get + host + "Content-Length: 9223372036854775808\r\n" + end, flow.MalformedRequest},
		"CL over 2^64":                  {get + host + "Content-Length: 18446744073709551621\r\n" + end, flow.MalformedRequest},
		"Connection drops Host":         {get + host + "Connection: close, Host\r\n" + end, flow.MalformedRequest},
		"Connection drops CL":           {get + host + "Connection: content-length\r\n" + end, flow.MalformedRequest},
		"Trailer announces TE":          {get + host + "Trailer: X, Transfer-Encoding\r\n" + end, flow.MalformedRequest},
		"an unknown expectation":        {get + host + "Expect: 200-ok\r\n" + end, flow.MalformedRequest},
		"a head over 64 KiB":            {get + host + strings.Repeat("X: "+strings.Repeat("y", 995)+"\r\n", 66) + end, flow.MalformedRequest},
		"a line over 64 KiB":            {get + "X: " + strings.Repeat("y", MaxHead), flow.MalformedRequest},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			b := []byte(tt.head)
			if len(b) > MaxHead {
				if _, n, more, reason := ReadRequest(b); more || reason != tt.want || n != 0 {
					t.Errorf("got more=%t %v, want %v", more, reason, tt.want)
				}
				if _, _, more, reason := ReadRequest(b[:MaxHead-1]); !more {
					t.Errorf("got %v one byte before the limit", reason)
				}
				return
			}
			r, n, at, reason := readGrowing(t, b)
			if at < 0 || reason != tt.want || n != 0 || !r.Host.IsZero() {
				t.Errorf("got %v after %d of %d bytes, host %q, want %v", reason, at, len(b), r.Host, tt.want)
			}
		})
	}
}

func TestReadRequestIsEarly(t *testing.T) {
	for about, tt := range map[string]struct {
		bytes string
		want  flow.Reason
	}{
		"one byte of a TLS record":   {"\x16", flow.NotHTTP},
		"two Hosts before the end":   {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", flow.AmbiguousHost},
		"a version before the Host":  {"GET / HTTP/3\r\n", flow.MalformedRequest},
		"a tunnel before its fields": {"CONNECT a:443 HTTP/1.1\r\n", flow.MalformedRequest},
	} {
		if _, _, more, reason := ReadRequest([]byte(tt.bytes)); more || reason != tt.want {
			t.Errorf("%s: more=%t %v, want %v", about, more, reason, tt.want)
		}
	}
}

func TestReadRequestShowsWhatWasSent(t *testing.T) {
	r, _, _, reason := ReadRequest([]byte("GET /x HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n"))
	if reason != flow.AddressAsName || string(r.HostSent) != "10.0.0.1:80" || string(r.Method) != "GET" || string(r.Target) != "/x" {
		t.Errorf("got %v %s %s %q", reason, r.Method, r.Target, r.HostSent)
	}
}

// A request is decided by itself, whatever went before it (B12).
func TestReadRequestPipelined(t *testing.T) {
	b := []byte("GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: b.example\r\n\r\nGET /3 HTTP/1.1\r\n\r\n")
	var hosts []string
	for {
		r, n, more, reason := ReadRequest(b)
		if reason != flow.NotDecided {
			hosts = append(hosts, reason.String())
			break
		}
		if more {
			t.Fatal("asks for more")
		}
		hosts = append(hosts, r.Host.String())
		b = b[n:]
	}
	if got := strings.Join(hosts, " "); got != "a.example b.example ambiguous-host" {
		t.Errorf("got %s", got)
	}
}

// The one allocation is the canonical name, and the text it is parsed from.
func TestReadRequestAllocs(t *testing.T) {
	b := []byte(browser)
	if n := testing.AllocsPerRun(100, func() { ReadRequest(b) }); n > maxAllocs {
		t.Errorf("%v allocations, want at most %d", n, maxAllocs)
	}
}

const maxAllocs = 5

const browser = "GET /ubuntu/dists/noble/InRelease HTTP/1.1\r\nHost: azure.archive.ubuntu.com\r\nAccept: text/*\r\n" +
	"User-Agent: Debian APT-HTTP/1.3 (2.7.14) non-interactive\r\nCache-Control: max-age=0\r\n" +
	"If-Modified-Since: Thu, 25 Apr 2024 15:10:33 GMT\r\n\r\n"

func BenchmarkReadRequest(b *testing.B) {
	head := []byte(browser)
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		ReadRequest(head)
	}
}

// FuzzReadRequest states: nothing panics; an answer about a prefix is the
// answer about the whole; and what is accepted, net/http accepts too, with the
// same host, framing and end.
func FuzzReadRequest(f *testing.F) {
	for _, s := range []string{
		browser,
		"POST http://a.example:80/x HTTP/1.1\r\nHost: A.example.\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n",
		"POST / HTTP/1.0\r\nHost: a:8080\r\nContent-Length: 5\r\nConnection: keep-alive, x\r\n\r\nhello",
		"GET / HTTP/1.1\r\nHost: a:80@b\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nExpect: 100-continue\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, more, reason := ReadRequest(b)
		step := 1 + len(b)/64
		for k := 0; k < len(b); k += step {
			if _, n2, m2, r2 := ReadRequest(b[:k]); !m2 && (more || n2 != n || r2 != reason) {
				t.Fatalf("%d of %d bytes: %v %d, whole: more=%t %v %d", k, len(b), r2, n2, more, reason, n)
			}
		}
		if more || reason != flow.NotDecided {
			if n != 0 || !r.Host.IsZero() {
				t.Fatalf("denied with %v, yet head of %d bytes and host %v", reason, n, r.Host)
			}
			return
		}
		br := bufio.NewReaderSize(bytes.NewReader(b), len(b)+1)
		req, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("accepted %q, net/http: %v", b[:n], err)
		}
		if end := len(b) - br.Buffered(); end != n {
			t.Fatalf("head of %q ends at %d, net/http at %d", b, n, end)
		}
		host, port := req.Host, ""
		if h, p, err := net.SplitHostPort(req.Host); err == nil {
			host, port = h, p
		}
		name, err := dnsname.Parse(host)
		if err != nil || name != r.Host {
			t.Fatalf("host of %q is %q, net/http %q (%v)", b[:n], r.Host, req.Host, err)
		}
		if port == "" {
			port = "80"
		}
		if got := strconv.Itoa(int(authority{port: r.Port}.orDefault())); got != port {
			t.Fatalf("port of %q is %s, net/http %s", b[:n], got, port)
		}
		if req.Method != string(r.Method) || req.RequestURI != string(r.Target) || req.ProtoMinor != r.Minor {
			t.Fatalf("request line %s %s %d, net/http %s %s %d", r.Method, r.Target, r.Minor, req.Method, req.RequestURI, req.ProtoMinor)
		}
		if got := bodyOf(req.ContentLength, req.TransferEncoding); got != r.Body {
			t.Fatalf("body of %q is %v, net/http %v", b[:n], r.Body, got)
		}
		if r.KeepAlive == req.Close {
			t.Fatalf("keep-alive of %q is %t, net/http closes: %t", b[:n], r.KeepAlive, req.Close)
		}
	})
}

// bodyOf is the framing that net/http tells.
func bodyOf(length int64, codings []string) Body {
	switch {
	case len(codings) > 0:
		return Body{Kind: Chunked}
	case length < 0:
		return Body{Kind: UntilClose}
	case length > 0:
		return Body{Sized, length}
	}
	return Body{}
}
