// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// TestAHelloOnItsWayIsJudgedAgainByNewRules: between the verdict and the server's
// acknowledgement the rules may change, and the flow must not slip through.
func TestAHelloOnItsWayIsJudgedAgainByNewRules(t *testing.T) {
	for _, row := range []struct {
		name, want string
		same       bool
	}{
		{name: "the_rules_still_allow_it", same: true, want: released},
		{name: "they_do_not", want: dropped},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t)
			hello := helloFor("a.example")
			s.want(s.client(first, hello), pending)
			next := decide.New(&program.Program{})
			if row.same {
				next = decide.New(s.rules)
			}
			s.h.judge.Rules = func() *decide.Snapshot { return next }
			s.events = nil
			s.want(s.server(first+uint32(len(hello)), []byte("hello")), row.want)
			s.wantEmpty()
			if !row.same {
				s.wantRecord(flow.NameNotAllowed)
				end := first + uint32(len(hello))
				if !slices.Contains(s.resets, end) || !slices.Contains(s.resets, 1) {
					t.Errorf("resets %d: the server is to be told at %d, and the client at 1", s.resets, end)
				}
			}
		})
	}
}

func TestARevokedConnectionIsResetAtBothEnds(t *testing.T) {
	s := newStage(t)
	s.h.packet(1, foreign&^s.m.Mask()|s.m.Denied(), tcp(serverEnd, clientEnd, 4711, 1, flagACK, []byte("data")))
	if got := s.outcomes()[1]; got != denied || len(s.resets) != 1 || s.resets[0] != 4711 {
		t.Errorf("%s, resets %v: the server is told by the kernel, the client by us", got, s.resets)
	}
	s.h.packet(2, foreign&^s.m.Mask()|s.m.Denied(), tcp(clientEnd, serverEnd, 1, 1, flagRST, nil))
	if len(s.resets) != 1 {
		t.Error("a reset is answered with one")
	}
}
