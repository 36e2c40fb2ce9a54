// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func readOwn(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const apiRows = `
6 base AzureCloud mcr.microsoft.com https/443 exact
8 base AzureCloud *.data.mcr.microsoft.com https/443 exact
16 base AzureCloud *.azmk8s.io tcp/9000 exact
17 base AzureCloud *.azmk8s.io udp/1194 exact
23 optional - security.ubuntu.com http/80 repaired
27 defender - *.ods.opinsights.azure.com https/443 exact
32 new-thing - new.contoso.com https/443 exact`

func TestAzureAPIReadsEveryShapeOfTheAnswer(t *testing.T) {
	body := string(readOwn(t, "api.json"))
	_, list, _ := strings.Cut(body, `"value": `)
	list = strings.TrimSuffix(strings.TrimSpace(list), "}")
	for name, data := range map[string]string{
		"the body":              body,
		"the list alone":        list,
		"a REST example":        `{"parameters": {"a": [1, {"b": 2}]}, "responses": {"200": {"headers": {}, "body": ` + body + `}}}`,
		"a byte order mark":     "\ufeff" + body,
		"spaces before a brace": "  " + body,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			e, err := Read(strings.NewReader(data), nil)
			if err != nil {
				t.Fatal(err)
			}
			if name == "the list alone" {
				if len(e.Rows) != 7 || e.Rows[0].Line != 5 {
					t.Errorf("%d rows, the first in line %d", len(e.Rows), e.Rows[0].Line)
				}
				return
			}
			compare(t, spelled(e.Rows), wants(apiRows))
			if e.Format != FormatAzureAPI || e.Tables != 5 || e.Rows[1].Purpose != "blobs of the registry" || e.Rows[4].Required {
				t.Errorf("%+v", e)
			}
			var findings []string
			for _, f := range e.Findings {
				findings = append(findings, f.Kind+" "+f.Cell)
			}
			if got, want := strings.Join(findings, "; "), "repaired Security.Ubuntu.com; unusable Https:0; unusable 10.0.0.4; unusable empty.contoso.com; note "; got != want {
				t.Errorf("findings %s\nwant %s", got, want)
			}
		})
	}
}

func TestAzureAPIReadsThePublishedExample(t *testing.T) {
	e, err := Read(strings.NewReader(string(readShared(t, "catalog/azure-api-example-2025-07-01.json"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range spelled(e.Rows) {
		_, s, _ = strings.Cut(s, " ")
		got = append(got, s)
	}
	want := strings.Split(`base AzureCloud management.azure.com https/443 exact
base AzureCloud login.microsoftonline.com https/443 exact
base AzureCloud mcr.microsoft.com https/443 exact
base AzureCloud *.data.mcr.microsoft.com https/443 exact
base AzureCloud packages.microsoft.com https/443 exact
base AzureCloud acs-mirror.azureedge.net https/443 exact
base AzureCloud ntp.ubuntu.com udp/123 exact
optional - security.ubuntu.com http/80 exact
optional - azure.archive.ubuntu.com http/80 exact
optional - changelogs.ubuntu.com http/80 exact
gpu - nvidia.github.io https/443 exact
gpu - us.download.nvidia.com https/443 exact
gpu - apt.dockerproject.org https/443 exact
windows - onegetcdn.azureedge.net https/443 exact
windows - go.microsoft.com https/443 exact
windows - *.mp.microsoft.com http/80 exact
windows - www.msftconnecttest.com http/80 exact
windows - ctldl.windowsupdate.com http/80 exact
base AzureCloud *.azmk8s.io https/443 exact
base AzureCloud *.azmk8s.io tcp/9000 exact`, "\n")
	compare(t, got, want)
	if e.Rows[0].Line != 19 || len(e.Findings) != 0 {
		t.Errorf("line %d, %+v", e.Rows[0].Line, e.Findings)
	}
}

func TestAzureAPIRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"a syntax error":       {"{\n  \"value\": [\n    {,\n", "3:6: JSON"},
		"an end too soon":      {"{\n\"value\": [", "2:11: JSON"},
		"no list":              {`{"properties": {}}`, "no list of endpoints"},
		"a list of strings":    {`{"value": ["a"]}`, "line 1: expected an object"},
		"endpoints of strings": {"{\"value\": [{\n\"endpoints\": [\"a\"]}]}", "line 2: expected an object with domainName"},
		"endpoints as object":  {`{"value": [{"endpoints": {}}]}`, "endpoints is not a list"},
		"a port as object":     {`[{"endpoints": [{"endpointDetails": [{"port": {}}]}]}]`, "neither a number nor a string"},
		"something behind":     {`{"value": []} {}`, "something follows"},
		"a number":             {`7`, "expected an object or a list"},
		"nothing":              {``, "JSON"},
	} {
		_, err := AzureAPI([]byte(tt.data), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %T", name, err)
		}
	}
}
