// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package importer reads one published edition of the list of what an AKS
// cluster must reach, and says line by line what it read, what it repaired and
// what it refused. It takes the documentation page (Markdown, every edition
// since 2019-05, every language) and the answer of Azure's
// outboundNetworkDependenciesEndpoints API (JSON).
//
// The page is translated by machine, and translation breaks names: spaces
// appear beside dots, placeholders and labels are translated, stars and dots
// are lost. A repair must follow a rule that has one outcome, or lead to a pair
// that the catalog knows; everything else is a finding and never a row. What a
// page says in prose beside its tables is not read, except ports in list items.
package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// Limits of what is read and reported.
const (
	MaxSize     = 16 << 20 // bytes of one document
	MaxRows     = 20000    // rows of an Edition, and table lines that are looked at
	MaxFindings = 2000     // findings, before the one that counts the rest
)

// Known is one pair that the catalog knows, at whatever time and in the
// spelling of the source; repairs are judged by it.
type Known struct {
	Feature     string
	Cloud       string
	Destination string
	Protocol    flow.Protocol
	Port        uint16
}

// Kind says what sort of destination a Row has.
type Kind string

// Kinds of destinations.
const (
	KindName        Kind = "name"         // a name, a wildcard, or either with placeholders
	KindAny         Kind = "any"          // "*", any address
	KindServiceTag  Kind = "service-tag"  // a service tag of Azure's virtual networks
	KindRegionCIDRs Kind = "region-cidrs" // the address ranges of the cluster's region
	KindAPIServer   Kind = "api-server"   // the address of the API server
	KindCustomDNS   Kind = "custom-dns"   // the address of the cluster's own resolver
)

// Status says how near a Row is to what the source says.
type Status string

// Statuses, from the best to the one that leans most on the catalog.
const (
	Exact       Status = "exact"        // as a Markdown reader shows it
	Repaired    Status = "repaired"     // by a rule that has one outcome
	FromCatalog Status = "from-catalog" // the only pair of the catalog that the damaged text can mean
)

// Row is one destination with one protocol and port.
type Row struct {
	Feature     string // a feature of package catalog, or the slug of a heading or category that it does not know
	Cloud       string // a cloud of package catalog, "" when neither section nor cell names one
	Required    bool   // false only in the optional section; prose is not read
	Kind        Kind
	Destination string // canonical: "*.hcp.<location>.azmk8s.io", "AzureCloud.<Region>", "*"
	Protocol    flow.Protocol
	Port        uint16
	Line        int    // 1 is the first line of the document
	Purpose     string // the remaining cell without markup, at most 300 runes
	Status      Status
}

// Kinds of findings.
const (
	FindingRepaired    = "repaired"
	FindingFromCatalog = "from-catalog"
	FindingUnusable    = "unusable"
	FindingNote        = "note"
)

// Finding is one thing that a reader of the import should look at.
type Finding struct {
	Line   int
	Kind   string // one of the constants above
	Cell   string // as written, cut at 200 runes; "" for a note about no cell
	Text   string // what was wrong, and which rule was applied
	Result string // what it became, "" when it became nothing
}

// Formats of an Edition.
const (
	FormatMarkdown = "markdown"
	FormatAzureAPI = "azure-api"
)

// Edition is what one document holds.
type Edition struct {
	Title    string
	Locale   string    // as the document states it, "de-DE"; "" when it does not
	MSDate   time.Time // the date the document gives itself, 00:00 UTC; zero when it gives none
	Format   string    // one of the constants above
	Lines    int
	Tables   int // tables that list destinations
	Rows     []Row
	Bullets  []Row // ports in list items of the required and optional sections; never in Rows
	Findings []Finding
}

// ErrNoTable is what a document gives that is no edition of the page.
var ErrNoTable = errors.New("no destination table found: is this an edition of the egress page?")

// Error is a document that cannot be read at all.
type Error struct {
	Line   int // 0 when no line is at fault
	Column int // in bytes, 0 when unknown
	Text   string
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return e.Text
	case e.Column == 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Text)
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text)
}

func tooLarge() error {
	return &Error{Text: fmt.Sprintf("document is larger than the limit of %d MiB", MaxSize>>20)}
}

// Read reads one document and decides by its first character whether it is
// JSON or Markdown.
func Read(r io.Reader, known []Known) (*Edition, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the edition: %w", err)
	}
	text, err := decode(data)
	if err != nil {
		return nil, err
	}
	if looksLikeJSON(text) {
		return readAPI(text, known)
	}
	return readMarkdown(text, known)
}

// Markdown reads an edition of the documentation page.
func Markdown(data []byte, known []Known) (*Edition, error) {
	text, err := decode(data)
	if err != nil {
		return nil, err
	}
	return readMarkdown(text, known)
}

// AzureAPI reads the answer of outboundNetworkDependenciesEndpoints: the body,
// the list in it, or the REST example that wraps it.
func AzureAPI(data []byte, known []Known) (*Edition, error) {
	text, err := decode(data)
	if err != nil {
		return nil, err
	}
	return readAPI(text, known)
}

// looksLikeJSON reports whether text begins as an object or a list of objects
// does; a Markdown page may begin with the bracket of a link.
func looksLikeJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	if rest, ok := bytes.CutPrefix(text, []byte{'['}); ok {
		text = bytes.TrimLeft(rest, " \t\r\n")
	}
	return len(text) > 0 && text[0] == '{'
}
