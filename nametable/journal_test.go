// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nametable

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, path string, now time.Time) (*Journal, *Table, int) {
	t.Helper()
	table := New()
	j, unreadable, err := OpenJournal(path, table, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, table, unreadable
}

func TestTheJournalBringsBindingsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bindings")
	j, table, _ := open(t, path, start)
	bindings := []Binding{{name(1), addr(1), start.Add(time.Minute)}, {name(2), addr(1), start.Add(time.Hour)}, {name(3), addr(2), start.Add(time.Second)}}
	for _, b := range bindings {
		table.Bind(b)
		if err := j.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Append(Binding{name(1), addr(1), start.Add(2 * time.Minute)}); err != nil { // the later end counts
		t.Fatal(err)
	}
	// Not closed: the process was killed.
	_, again, unreadable := open(t, path, start.Add(30*time.Second))
	if unreadable != 0 {
		t.Errorf("%d unreadable lines", unreadable)
	}
	got := again.All()
	if len(got) != 2 || got[0].Name != name(1) || !got[0].Until.Equal(start.Add(2*time.Minute)) || got[1].Name != name(2) {
		t.Errorf("got %v", got)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Count(string(b), "\n") != 2 {
		t.Errorf("the file was not rewritten: %q %v", b, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".bindings-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Wherever the file was cut, every line before the cut is there, and what is
// appended afterwards is not lost behind the half line.
func TestTheJournalSurvivesACutAnywhere(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	j, _, _ := open(t, whole, start)
	if err := j.Append(Binding{name(1), addr(1), start.Add(time.Hour)}, Binding{name(2), addr(2), start.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(string(b), '\n')
	for cut := range len(b) + 1 {
		path := filepath.Join(dir, "cut")
		if err := os.WriteFile(path, b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j, table, unreadable := open(t, path, start)
		want, half := 0, cut > 0
		if cut >= first {
			want, half = 1, cut > first+1
		}
		if cut >= len(b)-1 {
			want, half = 2, false
		}
		if table.Len() != want || (unreadable == 1) != half {
			t.Fatalf("cut at %d of %d: %d bindings, %d unreadable; want %d, %t", cut, len(b), table.Len(), unreadable, want, half)
		}
		if err := j.Append(Binding{name(3), addr(3), start.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if _, table, unreadable = open(t, path, start); table.Len() != want+1 || unreadable != 0 {
			t.Fatalf("cut at %d, appended: %d bindings, %d unreadable", cut, table.Len(), unreadable)
		}
	}
}

func TestLinesThatAreNoBindings(t *testing.T) {
	good := `{"name":"n1.example","addr":"20.0.0.1","until":"2027-01-15T09:00:00Z"}`
	for about, lines := range map[string]struct {
		text       string
		bindings   int
		unreadable int
	}{
		"nothing":            {"", 0, 0},
		"an empty line":      {"\n" + good + "\n", 1, 1},
		"noise":              {"\x00\x00\x00\x00\n" + good + "\n", 1, 1},
		"another object":     {"{}\n" + good + "\n", 1, 1},
		"an array":           {"[]\n" + good + "\n", 1, 1},
		"an invalid name":    {strings.Replace(good, "n1", "n 1", 1) + "\n" + good + "\n", 1, 1},
		"an address as name": {strings.Replace(good, "n1.example", "10.0.0.1", 1) + "\n", 0, 1},
		"an invalid address": {strings.Replace(good, "20.0.0.1", "20.0.0", 1) + "\n", 0, 1},
		"no address":         {strings.Replace(good, "20.0.0.1", "", 1) + "\n", 0, 1},
		"a line of 10 kB":    {good + "\n" + strings.Repeat("x", 10_000) + "\n" + good + "\n", 1, 1},
		"a mapped address":   {strings.Replace(good, "20.0.0.1", "::ffff:20.0.0.1", 1) + "\n" + good, 1, 0},
		"one that has ended": {strings.Replace(good, "2027", "2026", 1) + "\n", 0, 0},
	} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bindings")
			if err := os.WriteFile(path, []byte(lines.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, table, unreadable := open(t, path, start)
			if table.Len() != lines.bindings || unreadable != lines.unreadable {
				t.Errorf("%d bindings, %d unreadable, want %d, %d", table.Len(), unreadable, lines.bindings, lines.unreadable)
			}
		})
	}
}

func TestAJournalInAPlaceThatIsNotThere(t *testing.T) {
	if _, _, err := OpenJournal(filepath.Join(t.TempDir(), "no", "bindings"), New(), start); err == nil {
		t.Error("no error")
	}
}

func TestRewriteKeepsWhatTheTableHas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bindings")
	j, table, _ := open(t, path, start)
	for i := range 10 {
		b := Binding{name(i), addr(i), start.Add(time.Duration(i) * time.Minute)}
		table.Bind(b)
		if err := j.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	table.Sweep(start.Add(5 * time.Minute))
	if err := j.Rewrite(table); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(Binding{name(20), addr(20), start.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	_, again, _ := open(t, path, start)
	var got []string
	for _, b := range again.All() {
		got = append(got, b.Name.String())
	}
	if want := []string{"n20.example", "n6.example", "n7.example", "n8.example", "n9.example"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
