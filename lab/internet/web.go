// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package internet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NonceHeader carries a request's nonce; "/echo/NONCE" does too.
const NonceHeader = "X-Lab-Nonce"

// asked is what a request's connection is.
type asked struct {
	local, remote netip.AddrPort
	secure        bool
	serverName    string
}

type askedKey struct{}

// serveWeb answers requests from every connection that is handed over.
func (w *World) serveWeb() {
	srv := &http.Server{
		Handler:           http.HandlerFunc(w.serveHTTP),
		ReadHeaderTimeout: patience,
		ErrorLog:          log.New(io.Discard, "", 0), // what attackers do is in the events
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			a := asked{local: addrPort(c.LocalAddr()), remote: addrPort(c.RemoteAddr())}
			if s, ok := c.(*secureConn); ok {
				a.secure, a.serverName = true, s.serverName
			}
			return context.WithValue(ctx, askedKey{}, a)
		},
	}
	go func() { _ = srv.Serve(w.web) }()
	w.onClose(func() { _ = srv.Close() })
}

func (w *World) serveHTTP(rw http.ResponseWriter, r *http.Request) {
	proto, name := "http", hostOf(r.Host)
	c, _ := r.Context().Value(askedKey{}).(asked)
	if c.secure {
		proto, name = "https", c.serverName
	}
	nonce := r.Header.Get(NonceHeader)
	if n, ok := strings.CutPrefix(r.URL.Path, "/echo/"); ok {
		nonce = n
	}
	w.emit(Event{
		Kind: Served, Proto: proto, Name: name, Local: c.local, Remote: c.remote, Nonce: nonce,
		Bytes: int(max(r.ContentLength, 0)),
	})
	if site := w.site(hostOf(r.Host)); site != "" {
		serveSite(rw, r, site)
		return
	}
	for prefix, answer := range map[string]func(http.ResponseWriter, *http.Request, int64){
		"/bytes/": sendBytes, "/slow/": sendSlowly, "/sha/": sendHash,
	} {
		if rest, ok := strings.CutPrefix(r.URL.Path, prefix); ok {
			n, err := strconv.ParseInt(rest, 10, 64)
			if err != nil || n < 0 {
				http.Error(rw, "the path ends in a number of bytes", http.StatusBadRequest)
				return
			}
			answer(rw, r, n)
			return
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 64<<20))
	fmt.Fprintf(rw, "%s%s\n", word, nonce)
}

func hostOf(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		hostport = h
	}
	return strings.ToLower(strings.TrimSuffix(hostport, "."))
}

func (w *World) site(host string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cfg.Sites[host]
}

// setSites changes what some hosts serve; "" brings back the ordinary answers.
func (w *World) setSites(_ context.Context, sites map[string]string) (struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cfg.Sites == nil {
		w.cfg.Sites = make(map[string]string)
	}
	for host, site := range sites {
		w.cfg.Sites[host] = site
	}
	return struct{}{}, nil
}

func serveSite(rw http.ResponseWriter, r *http.Request, site string) {
	to, err := url.Parse(site)
	if err != nil || to.Scheme != "http" {
		http.FileServer(http.Dir(site)).ServeHTTP(rw, r)
		return
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	proxy.ServeHTTP(rw, r)
}

// Stream returns the n bytes that /bytes/n and /slow/n send: the same ones
// every time.
func Stream(n int64) io.Reader {
	var seed [32]byte
	copy(seed[:], "sallyport lab")
	return io.LimitReader(rand.NewChaCha8(seed), n)
}

func sendBytes(rw http.ResponseWriter, _ *http.Request, n int64) {
	rw.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.CopyBuffer(struct{ io.Writer }{rw}, Stream(n), make([]byte, 256<<10))
}

// sendSlowly sends 64 KiB every 50 ms, for what must be under way while
// something else happens; ?every=10ms changes that.
func sendSlowly(rw http.ResponseWriter, r *http.Request, n int64) {
	every := 50 * time.Millisecond
	if d, err := time.ParseDuration(r.URL.Query().Get("every")); err == nil {
		every = d
	}
	rw.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	body := Stream(n)
	for left := n; left > 0; {
		k, err := io.CopyN(rw, body, min(left, 64<<10))
		if err != nil {
			return
		}
		left -= k
		_ = http.NewResponseController(rw).Flush()
		select {
		case <-time.After(every):
		case <-r.Context().Done():
			return
		}
	}
}

func sendHash(rw http.ResponseWriter, _ *http.Request, n int64) {
	fmt.Fprintln(rw, Hash(n))
}

// Hash returns the SHA-256 of Stream(n), in hexadecimal.
func Hash(n int64) string {
	h := sha256.New()
	_, _ = io.Copy(h, Stream(n))
	return hex.EncodeToString(h.Sum(nil))
}
