// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// sarifLevel is a severity as SARIF has it.
var sarifLevel = map[audit.Severity]string{
	audit.Critical: "error", audit.High: "error", audit.Medium: "warning", audit.Low: "note", audit.Info: "note",
}

// writeSARIF writes the report in SARIF 2.1.0 (OASIS standard, 2020), which code
// scanning and editors read: each finding with its place and its fix.
func writeSARIF(w io.Writer, r audit.Report, text map[string][]byte) error {
	report := sarif.NewReport()
	run := sarif.NewRunWithInformationURI("sallyport", "https://github.com/sallyport/sallyport")
	for _, check := range audit.Checks() {
		run.AddRule(string(check)).WithDescription(check.Meaning())
	}
	places := newLineStarts(text)
	for _, f := range r.Findings {
		message := f.Text
		for _, more := range []struct{ key, text string }{{"because", f.Because}, {"flow", f.Witness}, {"fix", f.Fix}} {
			if more.text != "" {
				message += "; " + more.key + ": " + more.text
			}
		}
		result := sarif.NewRuleResult(string(f.Check)).WithLevel(sarifLevel[f.Severity]).
			WithMessage(sarif.NewTextMessage(message)).WithPartialFingerprints(map[string]string{"sallyport/v1": f.ID})
		if f.Unknown {
			result.WithKind("open").WithLevel("none") // section 3.27.10: only what fails has a level
		} else {
			result.WithKind("fail")
		}
		// What is missing has no place; it is shown where the files begin.
		file, line, col := f.Pos.File, max(f.Pos.Line, 1), max(f.Pos.Col, 1)
		if file == "" && len(r.Files) > 0 {
			file = r.Files[0]
		}
		if file != "" {
			run.AddDistinctArtifact(filepath.ToSlash(file))
			result.AddLocation(sarif.NewLocationWithPhysicalLocation(sarif.NewPhysicalLocation().
				WithArtifactLocation(sarif.NewSimpleArtifactLocation(filepath.ToSlash(file))).
				WithRegion(sarif.NewRegion().WithStartLine(line).WithStartColumn(col))))
		}
		if len(f.Edits) > 0 {
			result.AddFixe(sarifFix(f, places))
		}
		run.AddResult(result)
	}
	return report.AddRun(run).PrettyWrite(w)
}

// sarifFix writes the edits of a finding.
func sarifFix(f audit.Finding, places lineStarts) *sarif.Fix {
	fix := sarif.NewFix().WithDescription(sarif.NewTextMessage(f.Fix))
	changes := make(map[string]*sarif.ArtifactChange)
	for _, e := range f.Edits {
		change := changes[e.File]
		if change == nil {
			change = sarif.NewArtifactChange().WithArtifactLocation(sarif.NewSimpleArtifactLocation(filepath.ToSlash(e.File)))
			changes[e.File] = change
			fix.AddArtifactChange(change)
		}
		x := places.edit(e)
		change.AddReplacement(sarif.NewReplacement().
			WithDeletedRegion(sarif.NewRegion().WithStartLine(x.StartLine).WithStartColumn(x.StartColumn).
				WithEndLine(x.EndLine).WithEndColumn(x.EndColumn)).
			WithInsertedContent(sarif.NewArtifactContent().WithText(e.Text)))
	}
	return fix
}

// editJSON is a piece of a file to be replaced, lines and columns from 1.
type editJSON struct {
	File        string `json:"file"`
	StartLine   int    `json:"startLine"`
	StartColumn int    `json:"startColumn"` // in bytes
	EndLine     int    `json:"endLine"`
	EndColumn   int    `json:"endColumn"` // exclusive
	Text        string `json:"text"`
}

// lineStarts holds where the lines of files begin.
type lineStarts map[string]ruleset.Lines

func newLineStarts(text map[string][]byte) lineStarts {
	out := make(lineStarts)
	for name, data := range text {
		out[name] = ruleset.LinesOf(data)
	}
	return out
}

// edit returns an edit with its lines.
func (l lineStarts) edit(e audit.Edit) editJSON {
	x := editJSON{File: e.File, Text: e.Text}
	x.StartLine, x.StartColumn = l[e.File].Place(e.Start)
	x.EndLine, x.EndColumn = l[e.File].Place(e.End)
	return x
}

// writeJUnit writes the report as a test run: a case for each thing the cluster
// needs, and one for each other finding. The form is the one that Jenkins, GitLab
// and Azure Pipelines read.
func writeJUnit(w io.Writer, r audit.Report, p *program.Program) error {
	needs := junit.Testsuite{Name: "needed", Time: "0"}
	missing := make(map[string]audit.Finding)
	for _, f := range r.Findings {
		if f.Need != "" {
			missing[f.Need] = f
		}
	}
	for _, rule := range p.Rules {
		c := junit.Testcase{Classname: "needed", Name: fmt.Sprintf("%s %s", rule.Destination(), strings.Join(rule.PortTexts(), " ")), Time: "0"}
		if f, ok := missing[string(rule.ID)]; ok {
			c.Failure = &junit.Result{Message: f.Text, Type: string(f.Severity), Data: details(f)}
		} else if slices.Contains(r.AssumedRules, rule.ID) {
			c.Skipped = &junit.Result{Message: "could not be decided: only what the files do not show may let it through"}
		}
		needs.AddTestcase(c)
	}
	open := junit.Testsuite{Name: "findings", Time: "0"}
	for _, f := range r.Findings {
		if f.Need != "" {
			continue
		}
		c := junit.Testcase{Classname: string(f.Check), Name: strings.TrimSpace(f.Pos.String() + " " + cmp.Or(f.Term, f.Rule) + " [" + f.ID + "]"), Time: "0"}
		switch {
		case f.Unknown:
			c.Skipped = &junit.Result{Message: f.Text}
		case f.Severity == audit.Info:
			c.SystemOut = &junit.Output{Data: f.Text}
		default:
			c.Failure = &junit.Result{Message: f.Text, Type: string(f.Severity), Data: details(f)}
		}
		open.AddTestcase(c)
	}
	suites := junit.Testsuites{Name: "sallyport audit"}
	suites.AddSuite(needs)
	suites.AddSuite(open)
	return suites.WriteXML(w)
}

func details(f audit.Finding) string {
	return fmt.Sprintf("flow: %s\nbecause: %s\nfix: %s", f.Witness, f.Because, f.Fix)
}

// writePatch writes the edits of all findings, or of those that are named, as
// one unified diff.
func writePatch(w io.Writer, r audit.Report, text map[string][]byte) error {
	_, err := w.Write(audit.Patch(text, r.Edits()))
	return err
}
