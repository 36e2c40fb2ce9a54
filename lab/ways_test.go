// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// Each row is a way that does not come out as a way should. The lab must say so,
// or its other verdicts are worth nothing.
func TestAWayThatComesOutWrongIsTold(t *testing.T) {
	refused := lab.Ways[1].Tries[0].Do // a refused name on an allowed address
	rows := []struct {
		outcome, detail string
		way             lab.Way
	}{
		{"leaked", "payload arrived at", lab.Way{Tries: []lab.Try{{Do: allowedHello}}}},
		{"leaked", "second: payload arrived at", lab.Way{Tries: []lab.Try{
			{What: "first", Want: []flow.Reason{flow.NameNotAllowed}, Do: refused}, {What: "second", Do: allowedHello},
		}}},
		{"failed", "no record denies it with [not-tls]; recorded were [name-not-allowed]", lab.Way{Tries: []lab.Try{
			{Want: []flow.Reason{flow.NotTLS}, Do: refused},
		}}},
		{"failed", "it proves nothing", lab.Way{Tries: []lab.Try{
			{What: "good", Do: refused},
			{What: "idle", Do: func(context.Context, *lab.Env) (bool, string, error) { return false, "nothing was said", nil }},
		}}},
		{"failed", "it proves nothing: broken: no luck", lab.Way{Tries: []lab.Try{
			{What: "broken", Do: func(context.Context, *lab.Env) (bool, string, error) { return false, "", errors.New("no luck") }},
		}}},
		{"failed", "was not reached", lab.Way{
			Tries:  []lab.Try{{Want: []flow.Reason{flow.NameNotAllowed}, Do: refused}},
			Beside: func(t *client.Target) { t.Name = lab.AttackerZone },
		}},
	}
	opt := runOptions(t, "../examples/azure.yaml")
	opt.Out = io.Discard
	for i, r := range rows {
		r.way.ID = string(rune('a' + i))
		opt.Ways = append(opt.Ways, r.way)
	}
	opt.Ways = append(opt.Ways, lab.Way{ID: "z", Title: "not here", Needs: func(*lab.Plan) error { return errors.New("no snow") }})
	s, err := lab.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if s.OK || s.Ways.OK != 0 || s.Ways.Of != len(rows) {
		t.Errorf("got ok=%t and %d of %d ways, want none of %d", s.OK, s.Ways.OK, s.Ways.Of, len(rows))
	}
	if want := []string{"z not here: no snow"}; !slices.Equal(s.LeftOut, want) {
		t.Errorf("left out: got %q, want %q", s.LeftOut, want)
	}
	for i, r := range rows {
		at := slices.IndexFunc(s.Rows, func(row lab.Row) bool { return row.Section == lab.SectionWay && row.ID == opt.Ways[i].ID })
		if got := s.Rows[at]; got.Outcome != r.outcome || !strings.Contains(got.Detail, r.detail) {
			t.Errorf("way %d: got %s: %s; want %s: ... %s", i, got.Outcome, got.Detail, r.outcome, r.detail)
		}
	}
}

// allowedHello leads out whether or not there is a gateway.
func allowedHello(ctx context.Context, e *lab.Env) (bool, string, error) {
	name, at, err := e.Shared(ctx)
	if err != nil {
		return false, "", err
	}
	hello, err := e.Hello(client.TLS{}, name)
	if err != nil {
		return false, "", err
	}
	return e.SayHello(ctx, at, hello)
}

// The ids are those of the security test list; the main job asks for these.
func TestWaysAreInOrderAndTheMainJobsAreThere(t *testing.T) {
	var ids []string
	for _, w := range lab.Ways {
		ids = append(ids, w.ID)
		whats := make(map[string]bool)
		for _, try := range w.Tries {
			if whats[try.What] || try.What == "" && len(w.Tries) > 1 {
				t.Errorf("%s: form %q does not tell itself from another one", w.ID, try.What)
			}
			whats[try.What] = true
			if len(try.Want) == 0 && w.ID != "B31" {
				t.Errorf("%s: form %q wants no record", w.ID, try.What)
			}
		}
		if len(w.Tries) == 0 || w.Title == "" {
			t.Errorf("%s has no form or no title", w.ID)
		}
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("out of order: %v", ids)
	}
	for _, id := range strings.Fields("B01 B02 B04 B06 B07 B12 B13 B16 B17 B19 B20 B21 B22 B24 B31") {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is not tried", id)
		}
	}
}
