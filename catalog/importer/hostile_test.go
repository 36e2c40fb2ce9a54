// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestHostileDocumentsEndSoon reads documents of 16 MiB that are made to cost
// time and memory.
func TestHostileDocumentsEndSoon(t *testing.T) {
	known := ownKnown(t)
	fill := func(s string) []byte { return bytes.Repeat([]byte(s), MaxSize/len(s)) }
	head := "# T\n\n## Azure Global required rules\n\n| a | b |\n|---|---|\n| mcr.microsoft.com | HTTPS:443 |\n"
	for name, build := range map[string]func() []byte{
		"pipes and backticks in one line":   func() []byte { return fill("|`") },
		"pipes and backticks in many lines": func() []byte { return fill("|`|``|\n") },
		"pipes in tiny tables":              func() []byte { return fill("|`|\n\n") },
		"backtick runs of growing length":   func() []byte { return growing("`", "|") },
		"stars":                             func() []byte { return fill("| *.*:1 **\n") },
		"one line of numbers":               func() []byte { return fill("|1") },
		"rows":                              func() []byte { return fill("|a.b.com|HTTPS:443|\n") },
		"damaged rows":                      func() []byte { return fill("| *. x .azmk8s io | HTTPS:443 |\n") },
		"one cell of names":                 func() []byte { return []byte("|" + strings.Repeat("a.b.com,", 1<<20) + "|HTTPS:443|\n") },
		"open links":                        func() []byte { return fill("|[]([](1\n") },
		"open tags":                         func() []byte { return fill("|<<<1<|\n") },
		"open comments":                     func() []byte { return fill("<!--\n") },
		"comments":                          func() []byte { return fill("<!---->\n<!--\n-->|1") },
		"fences that nothing closes":        func() []byte { return fill("```x\n~~~y\n") },
		"fences of falling length":          func() []byte { return falling() },
		"headings":                          func() []byte { return fill("# <a name=\"x\"></a>\n") },
		"deep headings":                     func() []byte { return fill("###### a\n|1|\n") },
		"list items":                        func() []byte { return fill("* TCP 1 UDP 2\n") },
		"front matter":                      func() []byte { return append([]byte("---\n"), fill("a: b\n")[:MaxSize-9]...) },
		"empty lines":                       func() []byte { return fill("\n") },
		"parentheses":                       func() []byte { return fill("|(((((((1\n") },
		"rows below a list of bullets":      func() []byte { return append([]byte(head), fill("| x.y.com | 1.2 |\n")[:MaxSize-len(head)-40]...) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			data := build()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			e, err := Markdown(data, known)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			total := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%v, %d MiB allocated, %v", took.Round(time.Millisecond), total, err)
			if took > limit {
				t.Errorf("took %v", took)
			}
			if total > 200 {
				t.Errorf("%d MiB allocated", total)
			}
			if err == nil {
				lawful(t, data, e)
			} else if !errors.Is(err, ErrNoTable) {
				t.Error(err)
			}
		})
	}
	json := map[string][]byte{
		"open lists":   fill("["),
		"open objects": fill(`{"value":`),
		"endpoints":    append([]byte(`[{"endpoints":[`), fill(`{"domainName":"a.b.com","endpointDetails":[{"port":1,"protocol":"TCP"}]},`)[:MaxSize-200]...),
		"numbers":      append([]byte(`{"a":[`), fill("1,")[:MaxSize-16]...),
	}
	for name, data := range json {
		t.Run("json_"+strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			start := time.Now()
			if _, err := AzureAPI(data, known); err == nil {
				t.Error("no error")
			}
			took := time.Since(start)
			t.Log(took.Round(time.Millisecond))
			if took > 4*limit {
				t.Errorf("took %v", took)
			}
		})
	}
}

// growing is runs of c that are each one longer, with sep between them.
func growing(c, sep string) []byte {
	var b bytes.Buffer
	for n := 1; b.Len()+n+1 < MaxSize; n++ {
		b.WriteString(strings.Repeat(c, n) + sep)
	}
	return b.Bytes()
}

// falling is opening fences that are each one shorter, before many lines.
func falling() []byte {
	var b bytes.Buffer
	for n := 3000; n > 3; n-- {
		b.WriteString(strings.Repeat("`", n) + "x\n")
	}
	b.Write(bytes.Repeat([]byte("a\n"), (MaxSize-b.Len())/2))
	return b.Bytes()
}

func TestTooLargeIsRefused(t *testing.T) {
	data := bytes.Repeat([]byte("x"), MaxSize+1)
	for name, read := range map[string]func() error{
		"Markdown": func() error { _, err := Markdown(data, nil); return err },
		"AzureAPI": func() error { _, err := AzureAPI(data, nil); return err },
		"Read":     func() error { _, err := Read(bytes.NewReader(data), nil); return err },
	} {
		var e *Error
		if err := read(); !errors.As(err, &e) || !strings.Contains(err.Error(), "16 MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkMarkdown(b *testing.B) {
	data, err := os.ReadFile("testdata/page.md")
	if err != nil {
		b.Fatal(err)
	}
	for len(data) < 50<<10 {
		data = append(data, data...)
	}
	data = data[:50<<10]
	known := ownKnown(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Markdown(bytes.ToValidUTF8(data, nil), known); err != nil {
			b.Fatal(err)
		}
	}
}
