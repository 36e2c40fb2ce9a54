// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"slices"
	"strings"
)

// Page returns the page about a result, in Markdown; picture is the file name of
// its picture. The same result always makes the same page.
func (r BenchResult) Page(picture string) string {
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("# Performance\n")
	line("<!-- Written by `make bench`: change the command and not this page. -->\n")
	line("`make bench` measures the gateway in the [lab](lab.md) against plain kernel forwarding with masquerade, which is")
	line("the limit, and against each peer that is installed. Everything runs on one machine, clients and servers too; so")
	line("the figures are ratios to what plain forwarding reached right before and behind, and no absolute speeds.\n")
	line("![Ratios to plain forwarding](%s)\n", picture)
	r.measuredOn(line)
	ratios := slices.DeleteFunc(slices.Clone(r.Rows), func(row BenchRow) bool { return row.Unit != UnitRatio })
	line("## As a ratio\n")
	r.table(line, ratios)
	line("## In units\n")
	costs := slices.DeleteFunc(slices.Clone(r.Rows), func(row BenchRow) bool { return row.Unit == UnitRatio })
	r.table(line, costs)
	r.missed(line)
	line("%s", strings.TrimSpace(howMeasured))
	return s.String()
}

// measuredOn says where, when and with what.
func (r BenchResult) measuredOn(line func(string, ...any)) {
	line("Measured on %s: Linux %s, %d processors (%s), %d interleaved rounds of each row.", r.Day, r.Host.Kernel, r.Host.CPUs, r.Host.Processor, r.Pairs)
	var there []string
	for _, p := range r.Peers {
		if p.Missing == "" {
			there = append(there, fmt.Sprintf("%s (%s)", p.Title, p.Version))
		}
	}
	if len(there) > 0 {
		line("Peers: %s.", strings.Join(there, ", "))
	}
	for _, p := range r.Peers {
		if p.Missing != "" {
			line("%s is left out: %s.", p.Title, p.Missing)
		}
	}
	line("")
}

// table writes rows as a table, with the columns that have something in them.
func (r BenchResult) table(line func(string, ...any), rows []BenchRow) {
	part := r
	part.Rows = rows
	head := part.Head()
	var cells [][]string
	for _, row := range rows {
		cells = append(cells, part.Cells(row))
	}
	used := make([]bool, len(head))
	for _, row := range cells {
		for i, c := range row {
			used[i] = used[i] || c != ""
		}
	}
	if len(rows) > 0 && rows[0].Unit == UnitRatio {
		used[1] = false // they are all ratios
	}
	write := func(row []string) {
		var out strings.Builder
		for i, c := range row {
			if used[i] {
				out.WriteString(" " + strings.ReplaceAll(c, "|", `\|`) + " |")
			}
		}
		line("|%s", out.String())
	}
	for i, h := range head {
		head[i] = strings.ToLower(h)
	}
	write(head)
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "---"
	}
	write(rule)
	for _, row := range cells {
		write(row)
	}
	line("")
}

// missed says where what is asked is not reached, and why.
func (r BenchResult) missed(line func(string, ...any)) {
	line("## What is not reached\n")
	n := 0
	for _, row := range r.Rows {
		g, ok := row.Figure(wayGateway)
		if !ok || row.Answer == answerYes || row.Answer == "" {
			continue
		}
		n++
		answer := "is not"
		if row.Answer == answerInconclusive {
			answer = "may or may not be"
		}
		text := fmt.Sprintf("- **%s**: %s is asked, and %s %s reached with %s.", row.Name, row.Target, "this run says it", answer, g.text(row.Unit))
		if row.Target.AbovePeers {
			if near := row.notBelow(g); len(near) > 0 {
				text += " Not surely below it: " + strings.Join(near, ", ") + "."
			}
		}
		if why := missedBecause[row.ID]; why != "" {
			text += " " + why
		}
		line("%s", text)
	}
	if n == 0 {
		line("Everything that is asked is reached.")
	}
	line("")
}

// notBelow are the peers whose interval does not lie below g's.
func (r BenchRow) notBelow(g BenchFigure) (out []string) {
	for _, f := range r.Figures {
		if f.isPeer() && f.High >= g.Low {
			out = append(out, f.Way)
		}
	}
	return out
}

const (
	whyCut = "Without offloads every packet of 1,500 bytes is looked at by itself, and each rule that a released one still meets counts: " +
		"the mark that is cleared, the mark that says that it is released, and the masquerade."
	whyConns = "Each hello goes up to the process and down again, and the two connection events of conntrack and the record come with it; " +
		"on few processors that is time which the clients and servers of the same machine lose as well."
	whyBulk = "A released flow meets five rules and no process, so this is the machine's noise: see the column of plain forwarding against itself."
)

// missedBecause is why a target may not be reached, by the row's ID.
var missedBecause = map[string]string{
	"bulk-1": whyBulk, "bulk-8": whyBulk, "cut-1": whyCut, "cut-8": whyCut, "conns-16": whyConns, "conns-64": whyConns,
	"cpu-bulk-1":   "No packet of a released flow comes to the process; what is counted here is the kernel's own work on packets that falls into its time.",
	"cpu-bulk-8":   "No packet of a released flow comes to the process; what is counted here is the kernel's own work on packets that falls into its time.",
	"cpu-cut-1":    "No packet of a released flow comes to the process; what is counted here is the kernel's own work on packets that falls into its time.",
	"cpu-cut-8":    "No packet of a released flow comes to the process; what is counted here is the kernel's own work on packets that falls into its time.",
	"cpu-conns-16": whyConns, "cpu-conns-64": whyConns,
	"first-p50": "The hello waits for the process to be woken, and the client's own wait on the same processors is in it.",
	"decide-1m": "A decision looks at some strings, lists and rules that lie apart in memory, so what the processor's caches hold decides.",
}

const howMeasured = `
## What the figures mean

A figure is a median, and in brackets the interval that holds the true median in 95 of 100 cases, whatever the
distribution (binomial sign test). What is asked is asked of the whole interval: *yes* when all of it is as asked,
*no* when none of it is, else *inconclusive*. Above every peer means that the interval lies above every peer's.

- **noise**: plain forwarding against itself in the same rounds, so differences of this size are none. Of the DNS
  row: unbound against itself.
- **rules**: plain forwarding behind as many rules as the gateway's table has, which each packet meets.
- **Peers** stand on routers of their own, in the same place, let the one server name through and no other, and are
  set up for their best performance; lab/bench_peers_config.go says what that takes. A peer is not above the gateway
  when it does less: none of them compares the address with what the name leads to, but for Squid.
- **throughput**: bytes a second through TLS flows whose hello carries the allowed name. With 1,500-byte packets the
  offloads of every link are off, as between machines.
- **strict path**: plain HTTP goes through the transparent proxy, which reads each request; it is compared with HTTP
  over plain forwarding.
- **new connections**: connect, a post-quantum ClientHello of 1.5 kB, two bytes of answer, reset.
- **first byte**: from the hello to the answer, one connection at a time, less what plain forwarding takes.
- **processor time**: of the way's processes alone. The kernel's work on packets is in the ratios.
- **memory**: of the processes, with what several have in common counted once, while flows stand still. Peers need two
  descriptors for a flow, and get fewer flows for that.
- **decisions**: 500 different names, four of five allowed by name, the others by wildcard or denied; in the last row
  names from all over the table.
- **kill -9**: flows that carry a number each millisecond, while the process is killed and started again. A packet is
  lost when TCP had to send it again, at either end.
`
