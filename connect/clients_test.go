// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/proxypath"
)

// curl runs curl through the proxy, as a user does who has set HTTPS_PROXY and
// HTTP_PROXY, and returns what it prints.
func (r *rig) curl(args ...string) (out string, err error) {
	r.T.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		r.T.Skip("curl is not installed")
	}
	_, file := r.authorities()
	cmd := exec.Command(path, append([]string{"-sS", "--max-time", "10", "--cacert", file}, args...)...)
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	proxy := "http://" + r.Addr
	cmd.Env = append(cmd.Env, "HTTPS_PROXY="+proxy, "https_proxy="+proxy, "http_proxy="+proxy)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

func TestCurlReachesAnAllowedNameOverTLS(t *testing.T) {
	for _, version := range []string{"--http1.1", "--http2"} {
		r := start(t, proxypath.Limits{})
		r.serve(addrA, true, echo)
		out, err := r.curl(version, "https://a.example/x?y", "https://a.example/z")
		if err != nil || out != "a.example /x?y a.example /z " {
			t.Errorf("%s: %q %v", version, out, err)
		}
		e := r.wantOne(flow.RuleMatched)
		if e.Flow.Proof != flow.ByConnect || e.Flow.App != flow.TLS || e.Flow.Name.String() != "a.example" || e.Flow.Dst != addrA || e.Flow.Port != 443 || e.Decision.Rule != "a" {
			t.Errorf("%s: record %+v", version, e)
		}
		if c := r.WantClosed(1)[0]; c.BytesOut < 500 || c.BytesIn < 500 || !c.Counted || c.Tuple.Dst.Addr() != addrA || c.Tuple.Src.Port() != e.SrcPort {
			t.Errorf("%s: close record %+v", version, c)
		}
	}
}

func TestCurlReachesAnAllowedNameOverHTTP(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.serve(addrA, false, echo)
	out, err := r.curl("-d", "body", "http://plain.example/x?y", "http://plain2.example", "http://plain.example:8080/z")
	if err != nil || out != "plain.example /x?y body"+"plain2.example / body"+"plain.example:8080 /z body" {
		t.Errorf("%q %v", out, err)
	}
	for i, e := range r.Recorded(3) {
		if e.Decision.Reason != flow.RuleMatched || e.Flow.Proof != flow.ByHost || e.Flow.Dst != addrA || e.Path != Path {
			t.Errorf("record %d: %+v", i, e)
		}
	}
}

func TestCurlIsToldWhyItIsRefused(t *testing.T) {
	r := start(t, proxypath.Limits{})
	out, err := r.curl("http://evil.example/")
	if err != nil || out != "sallyport: denied: no rule knows this name (name-not-allowed): evil.example\n" {
		t.Errorf("http: %q %v", out, err)
	}
	out, err = r.curl("-v", "https://evil.example/")
	if err == nil || !strings.Contains(out, "HTTP/1.1 403 Forbidden (sallyport: name-not-allowed)") || !strings.Contains(out, "X-Sallyport-Reason: name-not-allowed") {
		t.Errorf("https: %q %v", out, err)
	}
	r.Recorded(2)
}

// Go's own client, with a hello of 1.5 kB that spans segments.
func TestGoReachesAllowedNames(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.serve(addrA, true, echo)
	r.serve(addrEnd, true, echo)
	pool, _ := r.authorities()
	tr := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: r.Addr, User: url.UserPassword("me", "secret")}),
		TLSClientConfig: &tls.Config{RootCAs: pool},
	}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for target, want := range map[string]string{
		"https://A.Example/x":          "a.example /x hi",
		"https://a.example:8443/":      "a.example:8443 / hi",
		"https://x.sub.example/":       "x.sub.example / hi",
		"https://endpoint.example/end": "endpoint.example /end hi", // a private address that the cluster lists
	} {
		res, err := client.Post(target, "text/plain", strings.NewReader("hi"))
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if !strings.EqualFold(string(b), want) {
			t.Errorf("%s: %q", target, b)
		}
	}
	for _, e := range r.Recorded(4) {
		if e.Flow.Proof != flow.ByConnect {
			t.Errorf("record %+v", e)
		}
	}
}
