// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxytest

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// Hello returns a whole ClientHello for name, as crypto/tls sends it.
func Hello(t *testing.T, name string, change ...func(*tls.Config)) []byte {
	t.Helper()
	cfg := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	for _, c := range change {
		c(cfg)
	}
	client, server := net.Pipe()
	defer client.Close()
	go func() { _ = tls.Client(client, cfg).Handshake() }()
	_ = server.SetDeadline(time.Now().Add(5 * time.Second))
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}
