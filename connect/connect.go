// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package connect enforces a program as an explicit proxy, the one of HTTP_PROXY
// and HTTPS_PROXY, on a host without privileges: it opens sockets and touches
// nothing else. A tunnel (CONNECT) is held until the ClientHello inside names
// the host that the request named; plain requests are judged one by one by
// proxypath, which also moves the bytes. It opens no TLS and asks for no
// password: who may go where is decided by the address of the client.
package connect

import (
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/proxypath"
)

// Path is what records call this way to enforce.
const Path = "connect"

// New returns a proxy for cfg, whose Tunnel and Path it sets. Beside its own addresses it never dials one that
// no name may lead to, such as loopback, link-local and metadata addresses, even
// when a rule about addresses holds them.
func New(cfg proxypath.Config) *proxypath.Proxy {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	never, own := netset.Never(), cfg.Own
	cfg.Own = func() netset.Set { return own().Union(never) }
	j := &judge{rules: cfg.Rules, now: cfg.Now}
	cfg.Tunnel, cfg.Path = j.serve, Path
	return proxypath.New(cfg)
}

// allowed reports whether d lets a flow pass.
func allowed(d flow.Decision) bool { return d.Verdict == flow.Allow }
