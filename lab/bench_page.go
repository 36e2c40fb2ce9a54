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

// missed says where what is asked is not reached, and why: rows with one reason
// stand together.
func (r BenchResult) missed(line func(string, ...any)) {
	line("## What is not reached\n")
	var whys []string
	of := make(map[string][]string)
	for _, row := range r.Rows {
		g, ok := row.Figure(wayGateway)
		if !ok || row.Answer == answerYes || row.Answer == "" {
			continue
		}
		answer := "not reached"
		if row.Answer == answerInconclusive {
			answer = "inconclusive"
		}
		text := fmt.Sprintf("- %s: %s; %s is asked, %s", row.Name, g.text(row.Unit), row.Target, answer)
		if near := row.notBelow(g); len(near) > 0 {
			text += " (not surely below it: " + strings.Join(near, ", ") + ")"
		}
		why := missedBecause[row.ID]
		if _, known := of[why]; !known {
			whys = append(whys, why)
		}
		of[why] = append(of[why], text)
	}
	if len(whys) == 0 {
		line("Everything that is asked is reached.\n")
	}
	for _, why := range whys {
		line("%s", strings.Join(of[why], "\n"))
		if why != "" {
			line("\n%s", why)
		}
		line("")
	}
}

// notBelow are the peers whose interval does not lie below g's.
func (r BenchRow) notBelow(g BenchFigure) (out []string) {
	if !r.Target.AbovePeers {
		return nil
	}
	for _, f := range r.Figures {
		if f.isPeer() && f.High >= g.Low {
			out = append(out, f.Way)
		}
	}
	return out
}

// Reasons for a target that is not reached.
const (
	whyBulk = `A released flow meets a handful of rules and no process: what plain forwarding reaches against itself is the
noise that a difference has to be larger than.`
	whyCut = `Without offloads the kernel looks at every 1,500 bytes by themselves, and each rule that a released flow still
meets counts, as the column of plain forwarding behind as many rules as the whole table shows.`
	whyConns = `Each hello goes up to the process and down again, and with it go a record and two events of the connection
table, on the processors that clients and servers share.`
	whyCPU = `No packet of a released flow comes to the process. What it does meanwhile is housekeeping, and the kernel adds
its own work on packets to whoever it interrupts, more of it when a machine is busy.`
	whyFirst = `The hello waits until the process is woken, on a processor that it shares with the client and the server.`
	whyCold  = `A decision looks at strings, lists and rules that lie apart in memory: what the processor's caches hold decides.`
)

// missedBecause is why a target may not be reached, by the row's ID.
var missedBecause = map[string]string{
	"bulk-1": whyBulk, "bulk-8": whyBulk, "cut-1": whyCut, "cut-8": whyCut,
	"conns-16": whyConns, "conns-64": whyConns, "cpu-conns-16": whyConns, "cpu-conns-64": whyConns,
	"cpu-bulk-1": whyCPU, "cpu-bulk-8": whyCPU, "cpu-cut-1": whyCPU, "cpu-cut-8": whyCPU,
	"first-p50": whyFirst, "decide-1m": whyCold,
}

const howMeasured = `
## What the figures mean

A figure is a median, and in brackets the interval that holds the true median in 95 of 100 cases, whatever the
distribution (binomial sign test). What is asked is asked of the whole interval: *yes* when all of it is as asked,
*no* when none of it is, else *inconclusive*. Above every peer means that the interval lies above every peer's; as
plain behind as many rules, above 0.97 of that column's median.

- **noise**: plain forwarding against itself in the same rounds, so differences of this size are none. Of the DNS
  row: unbound against itself.
- **rules**: plain forwarding behind as many rules as the gateway's table has, which each packet meets.
- **Peers** stand on routers of their own, in the same place, let the one server name through and no other, and are
  set up for their best performance; [lab/bench_peers_config.go](../lab/bench_peers_config.go) says what that takes.
  They do less: none but Squid compares the address with those that the name leads to.
- **throughput**: bytes a second through TLS flows whose hello carries the allowed name. With 1,500-byte packets the
  offloads of every link are off, as between machines.
- **strict path**: plain HTTP goes through the transparent proxy, which reads each request; it is compared with HTTP
  over plain forwarding.
- **new connections**: connect, a post-quantum ClientHello of 1.5 kB, two bytes of answer, reset.
- **first byte**: from the hello to the answer, one connection at a time, less what plain forwarding takes.
- **processor time**: of the way's processes alone; the kernel's work on packets is in the ratios. No packet of a
  released flow comes to the gateway's process, so what is asked is nothing; up to 0.02 s a GiB are the hellos that a
  measurement begins with, housekeeping, and interrupts that the kernel counts as the process's own.
- **memory**: of the processes, with what several have in common counted once, while flows stand still; what they hold
  from the rows before is in it. It is one state, looked at six times. Peers need two descriptors for a flow, and get
  fewer flows for that.
- **decisions**: 500 different names, four of five allowed by name, the others by wildcard or denied; in the last row
  names from all over the table.
- **kill -9**: flows that carry a number each millisecond, while the process is killed and started again. A packet is
  lost when TCP had to send it again, at either end.
`
