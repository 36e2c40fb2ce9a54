// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// Ways out by what a ClientHello says, and by how it is cut up.

var allowedNameElsewhere = []Try{{
	Want: []flow.Reason{flow.UnboundAddress},
	Do: func(ctx context.Context, e *Env) (bool, string, error) {
		name, err := e.Allowed()
		if err != nil {
			return false, "", err
		}
		hello, err := e.Hello(client.TLS{}, name)
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, e.attacker(443), hello)
	},
}}

var otherNameOnSharedAddress = []Try{
	saidThere("in the first hello", []flow.Reason{flow.NameNotAllowed}, refusedHello),
	inSecondHello("in the hello that the server asks for", flow.NameNotAllowed, true),
	inSecondHello("in a second hello ahead of the question", flow.MalformedHello, false),
}

// inSecondHello is the try of a refused name in another hello behind one with an
// allowed name and without a key, for which a server asks (HelloRetryRequest, RFC 8446
// section 4.1.4). Go's server then ends the handshake; others serve the second name.
func inSecondHello(what string, want flow.Reason, turns bool) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		allowed, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		first, err := client.Hello(client.TLS{Classical: true}, allowed)
		if err == nil {
			first, err = client.WithExtension(first, client.ExtKeyShare, []byte{0, 0})
		}
		if err != nil {
			return false, "", err
		}
		second, err := refusedHello(e, "")
		if err != nil {
			return false, "", err
		}
		second = slices.Concat([]byte{20, 3, 3, 0, 1, 1}, second) // behind a change_cipher_spec record
		chunks := [][]byte{first, second}
		if !turns {
			chunks = [][]byte{slices.Concat(first, second)}
		}
		e.proxied = true // the first one may arrive
		return e.Say(ctx, client.Raw{To: at, Chunks: chunks, Turns: turns, Listen: time.Second})
	}}
}

var noServerName = []Try{
	saidThere("no extension", []flow.Reason{flow.NoName}, func(e *Env, _ string) ([]byte, error) {
		return e.Hello(client.TLS{NoName: true}, "")
	}),
	saidThere("empty list", []flow.Reason{flow.NoName, flow.MalformedHello}, withExtension(client.ExtServerName, []byte{0, 0})),
	saidThere("empty name", []flow.Reason{flow.NoName, flow.MalformedHello}, withExtension(client.ExtServerName, client.ServerNameData(nil))),
	saidThere("an address", []flow.Reason{flow.AddressAsName}, func(e *Env, name string) ([]byte, error) {
		return withExtension(client.ExtServerName, client.ServerNameData([]byte(e.Lab.Plan.Attacker.String())))(e, name)
	}),
}

// encryptedHello is tried at a server that has keys for it.
var encryptedHello = []Try{
	saidThere("an extension that nobody could decrypt", []flow.Reason{flow.EncryptedHello}, func(e *Env, allowed string) ([]byte, error) {
		hello, err := e.Hello(client.TLS{}, allowed)
		if err != nil {
			return nil, err
		}
		return client.WithGREASE(hello)
	}),
	{What: "a refused name inside", Want: []flow.Reason{flow.EncryptedHello}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		_, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		// The allowed name is the public one of the server's keys.
		_, got := e.Lab.Reach(ctx, client.Target{
			Kind: client.HTTPS, Name: FrontedName, Addr: at.Addr(), Port: at.Port(), Source: e.Source, Nonce: e.Nonce,
			TLS: client.TLS{ECH: echprobe.List(e.Lab.Plan.World.ECH.Config)},
		})
		if got.Local.IsValid() {
			e.flows = append(e.flows, triedFlow{"tcp", got.Local, at})
		}
		within := settle
		if !e.Held() {
			within = soon
		}
		if served, ok := e.Lab.Internet.Await(ctx, e.Nonce, within); ok {
			return true, fmt.Sprintf("a request for %s was answered at %s", served.Name, served.Local), nil
		}
		leaked, detail := e.Leaked(ctx)
		if !leaked {
			detail = got.Error
		}
		return leaked, detail, nil
	}},
}

// oddNames are read as an allowed name by one who is careless and as another by
// the next.
var oddNames = []Try{
	saidThere("NUL behind the name", []flow.Reason{flow.InvalidName}, named(func(allowed string) string {
		return allowed + "\x00." + AttackerZone
	})),
	saidThere("percent NUL", []flow.Reason{flow.InvalidName}, named(func(allowed string) string { return allowed + "%00." + AttackerZone })),
	saidThere("Cyrillic letter", []flow.Reason{flow.InvalidName}, named(func(allowed string) string {
		return strings.Replace(allowed, "o", "о", 1)
	})),
	saidThere("brackets", []flow.Reason{flow.AddressAsName, flow.InvalidName}, named(func(allowed string) string { return "[" + allowed + "]" })),
	saidThere("underscore", []flow.Reason{flow.InvalidName}, named(func(string) string { return "a_b." + AttackerZone })),
	saidThere("254 characters", []flow.Reason{flow.InvalidName}, named(func(string) string {
		return strings.Repeat("a23456789.", 23) + "abcdefg." + AttackerZone
	})),
	saidThere("upper case and a dot", []flow.Reason{flow.NameNotAllowed}, named(func(string) string { return strings.ToUpper(FrontedName) + "." })),
}

// saidThere is the try of saying, at an allowed name's shared address, the hello
// that make makes. make is told the allowed name.
func saidThere(what string, want []flow.Reason, make func(e *Env, allowed string) ([]byte, error)) Try {
	return Try{What: what, Want: want, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		allowed, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		hello, err := make(e, allowed)
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, at, hello)
	}}
}

// refusedHello is short enough to travel in one segment: one that does not offer
// a key of 1 KiB.
func refusedHello(e *Env, _ string) ([]byte, error) {
	return e.Hello(client.TLS{Classical: true}, FrontedName)
}

// withExtension makes the hello for an allowed name, with one extension replaced.
func withExtension(typ uint16, data []byte) func(e *Env, allowed string) ([]byte, error) {
	return func(e *Env, allowed string) ([]byte, error) {
		hello, err := e.Hello(client.TLS{}, allowed)
		if err != nil {
			return nil, err
		}
		return client.WithExtension(hello, typ, data)
	}
}

func named(name func(allowed string) string) func(e *Env, allowed string) ([]byte, error) {
	return func(e *Env, allowed string) ([]byte, error) {
		return withExtension(client.ExtServerName, client.ServerNameData([]byte(name(allowed))))(e, allowed)
	}
}

// held is how long a client listens that waits for the gateway to give up on its
// hello: its 3 s, and what a busy machine adds.
const held = 6 * time.Second

var helloInSegments = []Try{
	inChunks("8 of one byte, then the rest", client.Raw{}, []flow.Reason{flow.NameNotAllowed}, func(hello []byte) [][]byte {
		return append(bytewise(hello[:8]), hello[8:])
	}),
	inChunks("10, one every 10 ms", client.Raw{Delay: 10 * time.Millisecond, Listen: held}, []flow.Reason{flow.NameNotAllowed}, func(hello []byte) [][]byte {
		return slices.Collect(slices.Chunk(hello, len(hello)/9))
	}),
	inChunks("the first behind the others", client.Raw{Lost: []int{0}, Listen: held}, []flow.Reason{flow.NameNotAllowed}, func(hello []byte) [][]byte {
		return slices.Collect(slices.Chunk(hello, len(hello)/3+1))
	}),
	inChunks("60 of one byte, then the rest", client.Raw{Listen: held}, []flow.Reason{flow.NameNotAllowed}, func(hello []byte) [][]byte {
		return append(bytewise(hello[:60]), hello[60:])
	}),
	inChunks("all of one byte", client.Raw{Listen: held}, []flow.Reason{flow.HelloTooLong}, bytewise),
	inChunks("the last never sent", client.Raw{Listen: held}, []flow.Reason{flow.HelloTimeout}, func(hello []byte) [][]byte {
		return slices.Collect(slices.Chunk(hello[:len(hello)-1], len(hello)/4))
	}),
}

// inSegments makes a lawful client send its hello in as many.
func inSegments(t *client.Target) {
	t.Split, t.TLS.Classical = append(slices.Repeat([]int{1}, 40), 40, 40), true
}

func bytewise(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) }

// inChunks is the try of a refused hello cut into pieces.
func inChunks(what string, r client.Raw, want []flow.Reason, cut func(hello []byte) [][]byte) Try {
	return Try{What: what, Want: want, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		_, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		hello, err := refusedHello(e, "")
		if err != nil {
			return false, "", err
		}
		r := r
		r.To, r.Chunks = at, cut(hello)
		return e.Say(ctx, r)
	}}
}

var helloInRecords = []Try{
	inRecords("3 records", []flow.Reason{flow.NameNotAllowed}, 2, 50),
	inRecords("15 records, most of one byte", []flow.Reason{flow.NameNotAllowed}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
	inRecords("20 records", []flow.Reason{flow.HelloTooLong}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19),
	inRecords("an empty record first", []flow.Reason{flow.MalformedHello}, 0),
	inRecords("an empty record between", []flow.Reason{flow.MalformedHello}, 60, 60),
}

// inRecords is the try of a refused hello spread over records that end there.
func inRecords(what string, want []flow.Reason, ends ...int) Try {
	return saidThere(what, want, func(e *Env, _ string) ([]byte, error) {
		hello, err := refusedHello(e, "")
		if err != nil {
			return nil, err
		}
		// A nonce with a record's header inside would not be found.
		at := bytes.Index(hello, []byte(e.Nonce)) - 5
		if slices.ContainsFunc(ends, func(end int) bool { return end > at && end < at+len(e.Nonce) }) {
			return nil, errors.New("a record would end within the nonce")
		}
		return client.InRecords(hello, ends...), nil
	})
}

// earlyData are hellos that offer a session and its early data (RFC 8446 section
// 4.2.10), with the data right behind: it is held with the hello, and its name is
// the one of this hello.
var earlyData = []Try{
	saidThere("in one segment", []flow.Reason{flow.NameNotAllowed}, func(e *Env, _ string) ([]byte, error) { return withEarlyData(e, FrontedName) }),
	saidThere("no name at all", []flow.Reason{flow.NoName}, func(e *Env, _ string) ([]byte, error) { return withEarlyData(e, "") }),
	apart("in a segment of its own", client.Raw{}),
	apart("in a segment ahead of the hello's", client.Raw{Lost: []int{0}, Listen: held}),
}

// apart is the try of a refused hello and its early data in two segments.
func apart(what string, r client.Raw) Try {
	return Try{What: what, Want: []flow.Reason{flow.NameNotAllowed}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		_, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		b, err := withEarlyData(e, FrontedName)
		if err != nil {
			return false, "", err
		}
		hello := len(b) - 5 - len(e.Nonce) // the last record is the data
		r := r
		r.To, r.Chunks = at, [][]byte{b[:hello], b[hello:]}
		return e.Say(ctx, r)
	}}
}

// withEarlyData returns a hello with an empty early_data extension and a record
// of application data that carries the nonce.
func withEarlyData(e *Env, name string) ([]byte, error) {
	const extension = 42
	hello, err := client.Hello(client.TLS{Classical: true, NoName: name == ""}, name)
	if err == nil {
		hello, err = client.WithExtension(hello, extension, nil)
	}
	if err != nil {
		return nil, err
	}
	data := []byte(e.Nonce)
	return append(append(hello, 23, 3, 3, byte(len(data)>>8), byte(len(data))), data...), nil
}
