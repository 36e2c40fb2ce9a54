// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package catalog holds what a cluster must be able to reach, as dated facts
// with their sources. It knows no cluster: conditions are data, read against a
// small Facts value that somebody else fills. The facts stand in data/.
package catalog

import (
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/flow"
)

// Clouds, spelt as `az cloud list` prints them.
const (
	AzureCloud        = "AzureCloud"
	AzureChinaCloud   = "AzureChinaCloud"
	AzureUSGovernment = "AzureUSGovernment"
)

// Features of a cluster that bring requirements of their own.
const (
	Base        = "base"
	Optional    = "optional"
	GPU         = "gpu"
	Monitoring  = "azure-monitor"
	DevSpaces   = "dev-spaces"
	AzurePolicy = "azure-policy"
	Windows     = "windows"

	WorkloadIdentity  = "workload-identity"
	Defender          = "defender"
	KeyVaultCSI       = "keyvault-csi"
	CostAnalysis      = "cost-analysis"
	ClusterExtensions = "cluster-extensions"
)

// Role says which part of the cluster's own control plane a destination is,
// so that what is known of the cluster can take its place. Most have none.
type Role string

// Roles.
const (
	NoRole         Role = ""
	RoleAPIServer  Role = "api-server" // wildcard over the API servers of a location, or their address
	RoleTunnel     Role = "tunnel"     // wildcard over the tunnel ends of a location, or their address
	RoleController Role = "dev-spaces" // this cluster's Dev Spaces controller
)

// Requirement is one destination that some clusters must reach, with when the
// list said so.
type Requirement struct {
	ID          string // unique in the catalog, such as "base-mcr"
	Feature     string // one of the features above, or one that an overlay brings
	Cloud       string // one of the clouds above, "" when the source names none
	Required    bool   // false: recommended
	When        Condition
	Destination Destination
	Stated      string // destination as the source prints it, where that differs from Destination
	// Also lists the other forms in which a network rule may be written, widest
	// last; Destination is the narrowest. AlsoListed is when they stood there.
	Also       []Destination
	AlsoListed []Span
	CoveredBy  Coverage // what answers the row when it makes no rule of its own, "" when it makes one
	Role       Role
	Ports      []Port
	Probe      Template // a name under a wildcard to try in a live check, ours if it begins with sallyport-probe; zero when Destination is a name itself
	ExitCodes  []int    // with which a node's start script ends when it is blocked (AgentBaker, 2026-08-21)
	ReplacedBy string   // destination that took its place, "" when none did
	Purpose    string
	Note       string // an oddity of the source, kept as a fact
	NoteSince  string // first edition that the note is about, "" for all

	// CloudUnstatedBefore is the first edition whose section names the cloud;
	// before, the page printed the row for no cloud. "" when it always did (or,
	// with an empty Cloud, never does).
	CloudUnstatedBefore string

	Lines  map[string]int // line in the document, by edition, where the text was at hand
	Source Source

	imported bool // only an imported edition knows it
}

// StatedDestination returns the destination as the source prints it.
func (q Requirement) StatedDestination() string {
	if q.Stated != "" {
		return q.Stated
	}
	return q.Destination.String()
}

// CloudIn returns the cloud that edition e states the row for, "" for none.
func (q Requirement) CloudIn(e Edition) string {
	if e.ID < q.CloudUnstatedBefore {
		return ""
	}
	return q.Cloud
}

// NoteIn returns the note as far as it is about edition e.
func (q Requirement) NoteIn(e Edition) string {
	if e.ID < q.NoteSince {
		return ""
	}
	return q.Note
}

// AlsoIn returns the other forms of the destination that edition e prints.
func (q Requirement) AlsoIn(e Edition) []Destination {
	if _, ok := spanAt(q.AlsoListed, e.ID); !ok {
		return nil
	}
	return q.Also
}

// Source says where a requirement was read.
type Source struct {
	File    string // "data/base.yaml", or the file of an overlay
	Line    int    // of the requirement in that file
	Overlay bool   // whether it comes from the user's own directory
}

// String writes the source as "file:line".
func (s Source) String() string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

// Port is one protocol and port of a requirement.
type Port struct {
	Protocol flow.Protocol
	Port     uint16
	When     Condition // beside the requirement's own
	// WhenSince is the first edition that states When, "" when all do. Earlier
	// ones print the pair for everyone.
	WhenSince string
	// Hindsight says that When is true of earlier editions as well, although they
	// do not say so; with an empty WhenSince no edition says it.
	Hindsight bool
	Listed    []Span // when the source listed the pair, in order
}

// WhenIn returns the condition under which the pair is needed, as of edition e.
func (p Port) WhenIn(e Edition) Condition {
	if !p.Hindsight && e.ID < p.WhenSince {
		return Condition{}
	}
	return p.When
}

// StatedWhenIn returns the condition that edition e itself states.
func (p Port) StatedWhenIn(e Edition) Condition {
	if p.Hindsight && (p.WhenSince == "" || e.ID < p.WhenSince) {
		return Condition{}
	}
	return p.WhenIn(e)
}

// String writes the port as "https/443".
func (p Port) String() string { return p.Protocol.String() + "/" + strconv.Itoa(int(p.Port)) }

// ListedIn returns the span in which the pair was listed around edition e; ok
// is false when it was not.
func (p Port) ListedIn(e Edition) (span Span, ok bool) { return spanAt(p.Listed, e.ID) }
