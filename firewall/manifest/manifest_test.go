// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"strings"
	"testing"
)

func TestWhatIsWrittenIsReadBackWithItsLines(t *testing.T) {
	item := Fields(Field{"x", Number(3)}, Field{"names", Texts("*.x", "no", "443", "1e3", "~", "::/0")})
	data, err := Write("# head\n", Fields(Field{"kind", Text("A")}, Field{"metadata", Fields(Field{"name", Text("first")})},
		Field{"list", List(item.Comment("two\n# lines", "more"), Fields())}), Fields(Field{"kind", Text("B")}))
	if err != nil {
		t.Fatal(err)
	}
	want := "# head\nkind: A\nmetadata:\n  name: first\nlist:\n# two # lines\n# more\n- x: 3\n  names:\n  - '*.x'\n  - 'no'\n  - '443'\n  - '1e3'\n  - '~'\n  - ::/0\n- {}\n---\nkind: B\n"
	if string(data) != want {
		t.Errorf("got\n%s\nwant\n%s", data, want)
	}
	objects, err := Read("f", data)
	if err != nil || len(objects) != 2 || objects[0].Kind != "A" || objects[0].Name != "first" || objects[1].Kind != "B" {
		t.Fatalf("%+v %v", objects, err)
	}
	names := objects[0].Node.Get("list").Items()[0].Get("names").Items()
	var got []string
	for _, n := range names {
		s, _ := n.Text()
		got = append(got, s)
	}
	if strings.Join(got, " ") != "*.x no 443 1e3 ~ ::/0" || names[0].Line() != 10 {
		t.Errorf("%q from line %d", got, names[0].Line())
	}
}

func TestListsAreReadObjectByObject(t *testing.T) {
	objects, err := Read("f", []byte("---\n---\nkind: List\nitems:\n- {kind: A, metadata: {name: q}}\n- &x {kind: B}\n- 3\n"))
	if err != nil || len(objects) != 2 || objects[0].Name != "q" || objects[1].Kind != "B" {
		t.Errorf("%+v %v", objects, err)
	}
}

func TestWhatReadersTakeDifferentlyIsRefused(t *testing.T) {
	deep := "a: " + strings.Repeat("[", 10000)
	for name, text := range map[string]string{"deep": deep, "long": strings.Repeat(" ", MaxSize+1), "twice": "a: 1\na: 2\n", "alias": "a: &x {}\nb: *x\n", "merged": "<<: {a: 1}\n"} {
		if _, err := Read("f", []byte(text)); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
}
