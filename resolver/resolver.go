// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package resolver is the DNS server that the cluster asks. It resolves only
// names that some rule allows, and before it answers it has bound the addresses
// it is about to tell, so that nobody can be faster than the binding. Messages
// are read and written by github.com/miekg/dns, but for the most usual (hot.go).
package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Limits and times.
const (
	// maxTTL bounds how long an answer is kept. A TTL with its highest bit set
	// counts as 0 (RFC 2181 section 8).
	maxTTL = time.Hour
	minTTL = 5 * time.Second
	// negativeTTL is how long a client may believe that a name does not exist:
	// short, so that a new rule works at once.
	negativeTTL = 5 * time.Second
	// staleTTL is the TTL of an answer served past its time because no upstream
	// answers (RFC 8767 section 4).
	staleTTL = 30 * time.Second
	maxChain = 16 // CNAMEs followed
	maxAddrs = 256
	maxCache = 50_000
	// queryTimeout is for one question to one upstream.
	queryTimeout = 2 * time.Second
	upstreamSlot = 256 // questions to upstreams under way at once
)

// Config is what a Resolver works with. All fields but Now and Exchange are
// required.
type Config struct {
	Rules   func() *decide.Snapshot
	Resolve func() program.Resolve
	// Bind makes the kernel and the name table know that name leads to addrs,
	// for ttl and the grace behind it, and returns when they do.
	Bind   func(name dnsname.Name, addrs []netip.Addr, ttl time.Duration) error
	Record func(*flowlog.Event)
	IPv6   bool          // whether there is a way out over IPv6; without one AAAA has no data
	Audit  bool          // what is denied is recorded, and answered as upstreams do (audit.go)
	Grace  time.Duration // how long past its TTL an answer may be served when upstreams fail
	Log    *slog.Logger  // told when no upstream answers, nobody when nil

	Now      func() time.Time // time.Now when nil
	Exchange Exchange         // asks an upstream over the network when nil
}

// Exchange asks one upstream one question over UDP, and over TCP when the
// answer is cut.
type Exchange func(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error)

// Resolver answers questions. It is safe for concurrent use.
type Resolver struct {
	cfg      Config
	never    netset.Set
	private  netset.Set
	slots    chan struct{}
	asking   shares // of what is not in the cache
	relaying shares // of what audit mode binds without a rule

	mu     sync.Mutex
	cache  map[question]*answer
	hots   map[string]*hotAnswer // of what is in cache, by hotKey
	flying map[question]*flight
	told   map[denial]time.Time
	bound  map[question]boundFor // what audit mode has bound without a rule
	warned time.Time             // when the log was told that no upstream answers
	rules  uint64                // how often Forget was called: an answer from before is not kept
}

type question struct {
	name dnsname.Name
	typ  uint16 // dns.TypeA or dns.TypeAAAA
}

// answer is what upstreams said about a question, filtered and bound.
type answer struct {
	chain    []*dns.CNAME
	addrs    []netip.Addr
	rcode    int
	ttl      time.Duration
	expires  time.Time
	usable   time.Time    // until when it may be served because no upstream answers
	filtered flow.Reason  // why addresses are missing, NotDecided when none are
	withheld []netip.Addr // those, in audit mode: they are told and not bound
}

type flight struct {
	done chan struct{}
	a    *answer
	err  error
}

// New returns a resolver for cfg.
func New(cfg Config) *Resolver {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Exchange == nil {
		cfg.Exchange = exchange
	}
	return &Resolver{
		cfg: cfg, never: netset.Never(), private: netset.Private(), slots: make(chan struct{}, upstreamSlot),
		cache: make(map[question]*answer), hots: make(map[string]*hotAnswer), flying: make(map[question]*flight), told: make(map[denial]time.Time),
		bound:  make(map[question]boundFor),
		asking: shares{of: make(map[netip.Addr]share)}, relaying: shares{of: make(map[netip.Addr]share)},
	}
}

// ErrNotAllowed says that no rule allows the name.
var ErrNotAllowed = errors.New("no rule allows this name")

// RefusedError says that a name led only to addresses that it may not lead to.
type RefusedError struct {
	Name dnsname.Name
	Why  flow.Reason // flow.SpecialAddress or flow.PrivateAddress
}

func (e RefusedError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.Why.Text()) }

// Reason returns why.
func (e RefusedError) Reason() flow.Reason { return e.Why }

// Lookup returns the addresses that name leads to, bound, IPv4 first.
func (r *Resolver) Lookup(ctx context.Context, name dnsname.Name) ([]netip.Addr, error) {
	if len(r.cfg.Rules().Openings(name, r.cfg.Now())) == 0 {
		return nil, ErrNotAllowed
	}
	var out []netip.Addr
	var errs []error
	types := []uint16{dns.TypeA}
	if r.cfg.IPv6 {
		types = append(types, dns.TypeAAAA)
	}
	for _, typ := range types {
		a, err := r.resolve(ctx, question{name, typ})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, a.addrs...)
		if a.filtered != flow.NotDecided {
			errs = append(errs, RefusedError{name, a.filtered})
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(append(errs, fmt.Errorf("%s has no address", name))...)
	}
	return out, nil
}

// cached reports whether q is answered without asking anybody.
func (r *Resolver) cached(q question) bool {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.cache[q]
	return a != nil && now.Before(a.expires)
}

// resolve answers q from the cache or from upstreams, one question at a time
// for each q. The name is allowed.
func (r *Resolver) resolve(ctx context.Context, q question) (*answer, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	cached := r.cache[q]
	if cached != nil && now.Before(cached.expires) {
		r.mu.Unlock()
		return cached, nil
	}
	f := r.flying[q]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		r.flying[q] = f
		// It goes on when this client goes away: others may wait for it.
		go r.fly(q, f, cached)
	}
	r.mu.Unlock()
	select {
	case <-f.done:
		return f.a, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly asks upstreams and ends the flight.
func (r *Resolver) fly(q question, f *flight, cached *answer) {
	r.mu.Lock()
	rules := r.rules
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 4*queryTimeout)
	defer cancel()
	f.a, f.err = r.ask(ctx, q)
	now := r.cfg.Now()
	if f.err != nil && cached != nil && now.Before(cached.usable) && cached.rcode == dns.RcodeSuccess {
		stale := *cached
		stale.ttl, stale.expires = staleTTL, now.Add(staleTTL)
		f.a, f.err = &stale, nil
	}
	if f.err == nil && len(f.a.addrs) > 0 {
		if err := r.cfg.Bind(q.name, f.a.addrs, f.a.ttl); err != nil {
			f.a, f.err = nil, fmt.Errorf("bind %s: %w", q.name, err)
		}
	}
	var key string
	var hot *hotAnswer
	if f.err == nil {
		key, hot = r.heat(q, f.a)
	}
	r.mu.Lock()
	if f.err == nil && r.rules == rules {
		if len(r.cache) >= maxCache {
			clear(r.cache)
			clear(r.hots)
		}
		r.cache[q] = f.a
		delete(r.hots, key)
		if hot != nil {
			r.hots[key] = hot
		}
	}
	delete(r.flying, q)
	r.mu.Unlock()
	close(f.done)
}

// slot waits until one more question may be asked of upstreams.
func (r *Resolver) slot(ctx context.Context) (release func(), err error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask resolves q with upstreams, following the chain of CNAMEs from the
// question and nothing else.
func (r *Resolver) ask(ctx context.Context, q question) (*answer, error) {
	release, err := r.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	now := r.cfg.Now()
	a := &answer{ttl: maxTTL}
	for current := q.name; ; {
		msg, err := r.query(ctx, current, q.typ)
		if err != nil {
			r.warn(q.name, err)
			return nil, err
		}
		found, next := a.follow(msg, current, q.typ)
		a.rcode = msg.Rcode
		if len(a.chain) > maxChain {
			return nil, fmt.Errorf("%s: more than %d CNAMEs in a row", q.name, maxChain)
		}
		if found || next == current {
			break
		}
		current = next // the chain leads on, and the answer ended before it did
	}
	r.filter(a)
	if len(a.addrs) == 0 {
		a.ttl = min(a.ttl, negativeTTL)
	}
	a.ttl = max(a.ttl, minTTL)
	a.expires = now.Add(a.ttl)
	a.usable = a.expires.Add(r.cfg.Grace)
	return a, nil
}

// follow takes from msg the chain that begins at current, and the addresses at
// its end. It returns whether there were any, and where the chain ends. A chain
// that is too long, as a loop is, is left for the caller to see. Where a name has
// a CNAME, nothing else about it counts (RFC 1034 section 3.6.2).
func (a *answer) follow(msg *dns.Msg, current dnsname.Name, typ uint16) (found bool, end dnsname.Name) {
	for len(a.chain) <= maxChain {
		var alias *dns.CNAME
		var addrs []netip.Addr
		ttl := a.ttl
		for _, rr := range msg.Answer {
			owner, err := dnsname.Parse(rr.Header().Name)
			if err != nil || owner != current || rr.Header().Class != dns.ClassINET {
				continue
			}
			var addr netip.Addr
			switch rr := rr.(type) {
			case *dns.CNAME:
				if alias == nil {
					alias = rr
				}
				continue
			case *dns.A:
				addr, _ = netip.AddrFromSlice(rr.A.To4())
			case *dns.AAAA:
				addr, _ = netip.AddrFromSlice(rr.AAAA.To16())
			}
			if rr.Header().Rrtype == typ && addr.IsValid() && len(addrs) < maxAddrs {
				addrs = append(addrs, addr)
				ttl = min(ttl, ttlOf(rr))
			}
		}
		if alias == nil {
			a.addrs, a.ttl = addrs, ttl
			return len(addrs) > 0, current
		}
		next, err := dnsname.Parse(alias.Target)
		if err != nil {
			return false, current
		}
		a.chain = append(a.chain, alias)
		a.ttl = min(a.ttl, ttlOf(alias))
		current = next
	}
	return false, current
}

func ttlOf(rr dns.RR) time.Duration {
	ttl := rr.Header().Ttl
	if ttl > 1<<31-1 {
		return 0
	}
	return min(time.Duration(ttl)*time.Second, maxTTL)
}

// filter takes out the addresses that no name may lead to, or that this
// cluster's names may not.
func (r *Resolver) filter(a *answer) {
	res := r.cfg.Resolve()
	a.addrs = slices.DeleteFunc(a.addrs, func(addr netip.Addr) bool {
		reason := r.refuses(addr, res)
		if reason != flow.NotDecided {
			a.filtered = reason
			if r.cfg.Audit {
				a.withheld = append(a.withheld, addr)
			}
		}
		return reason != flow.NotDecided
	})
}

// Refuses says why no name may lead to addr by the settings of now, NotDecided
// when one may.
func (r *Resolver) Refuses(addr netip.Addr) flow.Reason { return r.refuses(addr, r.cfg.Resolve()) }

// refuses says why no name may lead to addr, NotDecided when one may.
func (r *Resolver) refuses(addr netip.Addr, res program.Resolve) flow.Reason {
	switch {
	case addr.Is4In6(), r.never.Contains(addr), res.Own.Contains(addr):
		return flow.SpecialAddress
	case r.private.Contains(addr) && !res.AllowPrivate.Contains(addr):
		return flow.PrivateAddress
	}
	return flow.NotDecided
}

// Refresh asks again for the exact names of the rules, shortly before what is
// known of them ends, until ctx ends: their bindings then follow a server that
// moves even when nobody asks.
func (r *Resolver) Refresh(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := r.cfg.Now()
		r.mu.Lock()
		for q, a := range r.cache {
			if len(a.addrs) > 0 && a.expires.Sub(now) < a.ttl/5 && r.flying[q] == nil && r.cfg.Rules().IsExact(q.name) {
				f := &flight{done: make(chan struct{})}
				r.flying[q] = f
				wg.Go(func() { r.fly(q, f, a) })
			}
		}
		r.mu.Unlock()
	}
}

// Forget empties the cache, so that new rules apply to every answer.
func (r *Resolver) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.cache)
	clear(r.hots)
	r.rules++
}
