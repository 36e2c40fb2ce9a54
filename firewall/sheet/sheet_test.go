// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package sheet

import (
	"strings"
	"testing"
)

func TestAChangedSheetIsReadWithItsFaultsAllAtOnce(t *testing.T) {
	const text = `id,from,to,protocol,ports,need,until,why,source
a,10.0.0.0/8,*.a.com,https,443,required,,x,y
b,10.0.0.0/8,a_b.com,https,443,required,,x,y
c,,a.com,https,443,required,,x,y
d,10.0.0.0/8,a.com,gopher,70,required,,x,y
e,10.0.0.0/8,20.1.0.0/16 20.2.0.0/16,tcp,22-23,required,,x,y
f,10.0.0.0/8
`
	rules, err := Read("request.csv", []byte(text))
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{"request.csv:3: ", "request.csv:4: a list of addresses is empty", `request.csv:5: protocol "gopher"`, "request.csv:7: has 2 columns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if len(rules.Rules) != 2 {
		t.Errorf("%d rules were read, want 2", len(rules.Rules))
	}
	if _, err := Read("x.csv", []byte("name,port\n")); err == nil || !strings.Contains(err.Error(), "x.csv:1: the first line is not") {
		t.Errorf("another head: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("id,from,to,protocol,ports,need,until,why,source\na,10.0.0.0/8,*.a.com,https,443,required,,x,y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Read("x", data)
		if err == nil && len(data) < 2000 {
			rules.Evaluate()
		}
	})
}
