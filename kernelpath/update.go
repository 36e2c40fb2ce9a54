// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Update changes the table that Apply has loaded to other rules: the rules about
// addresses, the sources, what is published and the learned elements, in one transaction, so that no
// packet meets a table that is half the one and half the other. The chains and the
// elements that stay are not touched. On an error the old table stays as it was.
func (p *Path) Update(rules []program.Rule, sources netset.Set, publish []program.Publication, bindings []Element) error {
	if p.sets == nil {
		return fmt.Errorf("change table inet %s: it is not loaded", TableName)
	}
	conn, err := openBatch()
	if err != nil {
		return err
	}
	replace := func(name string, elements []nftables.SetElement) error {
		conn.FlushSet(p.sets[name])
		return addElements(conn, p.sets[name], elements)
	}
	for _, f := range []family{ipv4, ipv6} {
		if err := replace("address"+f.name, betweenElements(f, rules)); err != nil {
			return err
		}
		if err := replace("sources"+f.name, addressElements(f, sources)); err != nil {
			return err
		}
		if err := replace("publish"+f.name, publishElements(f, publish)); err != nil {
			return err
		}
		if err := replace("visitors"+f.name, visitorElements(f, publish)); err != nil {
			return err
		}
	}
	if err := replace("ports", portElements(publish)); err != nil {
		return err
	}
	want := make(map[setElement]bool, len(bindings))
	add, remove := make(map[string][]nftables.SetElement), make(map[string][]nftables.SetElement)
	for _, e := range bindings {
		le := e.learned()
		if !want[le] && !p.have[le] {
			add[le.set] = append(add[le.set], nftables.SetElement{Key: e.key()})
		}
		want[le] = true
	}
	for le := range p.have {
		if p.have[le] && !want[le] {
			remove[le.set] = append(remove[le.set], nftables.SetElement{Key: le.key()})
		}
	}
	for name, elements := range add {
		if err := addElements(conn, p.sets[name], elements); err != nil {
			return err
		}
	}
	for name, elements := range remove {
		for some := range slices.Chunk(elements, chunk) {
			if err := conn.SetDeleteElements(p.sets[name], some); err != nil {
				return fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("change table inet %s: %w", TableName, err)
	}
	p.cfg.Sources, p.cfg.Publish = sources, publish
	p.have = want
	return nil
}

// batchBuffer is how many bytes of a transaction the socket takes: 100,000
// elements with IPv6 keys.
const batchBuffer = 32 << 20

// openBatch opens nftables for a transaction of any size that is reasonable.
func openBatch() (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error {
		_ = c.SetWriteBuffer(batchBuffer) // more than the system's limit only with CAP_NET_ADMIN there
		// Each message of a transaction is answered, all at once and before the first
		// answer is read: the default has room for fewer than the table has rules.
		_ = c.SetReadBuffer(batchBuffer)
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return conn, nil
}

// addElements adds elements to a set, as many messages as that takes.
func addElements(conn *nftables.Conn, set *nftables.Set, elements []nftables.SetElement) error {
	for some := range slices.Chunk(elements, chunk) {
		if err := conn.SetAddElements(set, some); err != nil {
			return fmt.Errorf("set %s: %w", set.Name, err)
		}
	}
	return nil
}
