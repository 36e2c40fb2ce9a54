// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/brief"
	"github.com/sallyport/sallyport/kernelpath"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/resolver"
	"github.com/sallyport/sallyport/service"
)

// Answer is what Check found about one thing that a gateway needs.
type Answer struct {
	What string
	Err  error  // nil: a gateway would start
	But  string // what is wrong all the same, "" for nothing
	Note string // what was found
}

// Check looks whether a gateway with opt could start on this host, and changes
// nothing: questions to the kernel are transactions that undo themselves, and
// ports are opened and closed again. While a gateway with this state directory
// runs, what is its own is not asked for.
func Check(ctx context.Context, opt Options) []Answer {
	opt.defaults()
	var out []Answer
	add := func(what, note string, err error) { out = append(out, Answer{What: what, Err: err, Note: note}) }
	but := func(what, text string) {
		if text != "" {
			out = append(out, Answer{What: what, But: text})
		}
	}

	p := opt.Program
	add("cluster description", fmt.Sprintf("%d rules by edition %s, for %s", len(p.Rules), p.Edition.ID, p.Visible()), nil)
	if opt.Audit {
		add("audit", "nothing is refused; what would be is recorded, and passes", nil)
	}
	_, err := kernelpath.NewMarks(opt.MarkMask)
	add("mark mask", fmt.Sprintf("%#x", opt.MarkMask), err)
	host, err := inspect(opt.Inside, opt.Outside)
	note := ""
	if err == nil {
		note = fmt.Sprintf("the resolver is to answer on %v", host.inside)
		if opt.Inside == opt.Outside {
			note += ", which is also outside: the cluster is told by its addresses, " + p.Visible().String()
		}
		if !host.ipv6 {
			note += "; no way out over IPv6, so AAAA questions have no data"
		}
	}
	add("interfaces", note, err)
	if err == nil {
		if err := host.facesCluster(opt.NextHops, opt.Inside, opt.Outside); err != nil {
			add("the cluster's routes", "", err)
		} else {
			for _, text := range host.hopsAway(opt.NextHops, opt.Inside) {
				but("the cluster's routes", text)
			}
		}
		but("the way out", leadsOut(opt.Inside, opt.Outside))
		add("published ports", host.publishes(p.Published), host.canPublish(p.Published))
	}
	features, err := kernelpath.Probe()
	if err != nil {
		add("kernel", "", err)
	}
	for _, f := range features {
		if f.Err != nil {
			f.Err = fmt.Errorf("the kernel lacks it (%s): %w", f.Config, f.Err)
		}
		add("kernel: "+f.Name, "", f.Err)
	}
	add("raw sockets, for resets", "", kernelpath.CanReset())
	out = append(out, Upstreams(ctx, p))
	running, err := stateFree(opt.StateDir)
	note = opt.StateDir
	if running > 0 {
		note += fmt.Sprintf(", held by a gateway that runs as process %d: its ports and queues are not asked for", running)
	}
	add("state directory", note, err)
	if running > 0 || host.inside == nil {
		return out
	}
	sockets, err := listenDNS(ctx, host.inside)
	if err == nil {
		sockets.close()
	}
	add("port 53", "", err)
	l, err := listenProxy(ctx, opt.ProxyPort)
	if err == nil {
		err = l.Close()
	}
	add(fmt.Sprintf("port %d, of the transparent proxy", opt.ProxyPort), "", err)
	if opt.Metrics != "" {
		add(opt.Metrics+", of /metrics and /healthz", "", service.CanListen(ctx, opt.Metrics))
	}
	return out
}

// Upstreams asks the name servers of a program. That none answers keeps nothing
// from starting.
func Upstreams(ctx context.Context, p *program.Program) Answer {
	a := Answer{What: "name servers", Note: fmt.Sprint(p.Resolve.Upstreams)}
	if err := resolver.Reachable(ctx, p.Resolve.Upstreams); err != nil {
		a.But = brief.Error(err)
	}
	return a
}

// stateFree reports whether the state directory can be used, and which process
// uses it.
func stateFree(dir string) (running int, err error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if at, err := service.Nearest(dir); err != nil {
			return 0, fmt.Errorf("%s cannot be made: %s is not writable: %w", dir, at, err)
		}
		return 0, nil
	case err != nil:
		return 0, err
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		return 0, nil
	}
	pid, err := readPID(lock)
	if err != nil {
		return 1, nil // somebody
	}
	return pid, nil
}

// Text writes the answers for people, and whether all is as it must be.
func Text(answers []Answer) (text string, ok bool) {
	var b strings.Builder
	ok = true
	for _, a := range answers {
		switch {
		case a.Err != nil:
			ok = false
			fmt.Fprintf(&b, "no   %s: %s\n", a.What, strings.ReplaceAll(a.Err.Error(), "\n", "; "))
		case a.But != "":
			fmt.Fprintf(&b, "but  %s: %s\n", a.What, a.But)
		case a.Note != "":
			fmt.Fprintf(&b, "yes  %s: %s\n", a.What, a.Note)
		default:
			fmt.Fprintf(&b, "yes  %s\n", a.What)
		}
	}
	return b.String(), ok
}
