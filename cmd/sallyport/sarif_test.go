// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

const inherited = "../../examples/firewall/inherited.json"

// audited returns what audit prints in a form, with the exit code.
func audited(t *testing.T, form string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"audit", inherited, "-c", "../../examples/azure-new.yaml", "-o", form}, strings.NewReader(""), &out, &errs)
	if code != exitNo {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	return out.Bytes()
}

func TestTheSARIFReportFollowsItsSchema(t *testing.T) {
	report, err := sarif.FromBytes(audited(t, "sarif"), sarif.WithStrictValidation())
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Validate(); err != nil {
		t.Fatal(err)
	}
	fixes := 0
	for _, r := range report.Runs[0].Results {
		if len(r.Locations) == 0 || r.PartialFingerprints["sallyport/v1"] == "" {
			t.Errorf("no place or fingerprint: %s", *r.Message.Text)
		}
		fixes += len(r.Fixes)
	}
	if len(report.Runs[0].Results) < 3 || fixes == 0 {
		t.Errorf("%d results, %d fixes", len(report.Runs[0].Results), fixes)
	}
}

func TestTheJUnitReportCountsItsCases(t *testing.T) {
	var suites junit.Testsuites
	if err := xml.Unmarshal(audited(t, "junit"), &suites); err != nil {
		t.Fatal(err)
	}
	failures := 0
	for _, s := range suites.Suites {
		for _, c := range s.Testcases {
			if c.Failure != nil {
				failures++
			}
		}
	}
	if len(suites.Suites) != 2 || suites.Failures != failures || failures == 0 || suites.Tests < 9 {
		t.Errorf("%d suites, %d tests, %d failures counted %d", len(suites.Suites), suites.Tests, suites.Failures, failures)
	}
}
