// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

// The data files as they are written, before anything of them is understood. A
// file holds one feature's requirements, or editions, or statements, or an
// imported edition; the directory of an overlay may hold all of them.

type rawFile struct {
	// A feature and its requirements.
	Feature      string           `yaml:"feature,omitempty"`
	Title        string           `yaml:"title,omitempty"`
	Required     *bool            `yaml:"required,omitempty"`
	When         *Condition       `yaml:"when,omitempty"`
	Note         string           `yaml:"note,omitempty"`
	Requirements []rawRequirement `yaml:"requirements,omitempty"`

	// Editions.
	NewestKnown string                 `yaml:"newestKnown,omitempty"`
	Documents   map[string]rawDocument `yaml:"documents,omitempty"`
	Editions    []rawEdition           `yaml:"editions,omitempty"`

	// Statements beside the tables.
	NetworkRules  []rawNetworkRule  `yaml:"networkRules,omitempty"`
	Narrowings    []rawStatement    `yaml:"narrowings,omitempty"`
	Prerequisites []rawPrerequisite `yaml:"prerequisites,omitempty"`
	Deprecations  []rawDeprecation  `yaml:"deprecations,omitempty"`
	Advice        []rawAdvice       `yaml:"advice,omitempty"`

	// What a firewall on the node itself must leave open.
	NodeLocal []NodeDestination `yaml:"nodeLocal,omitempty"`

	Regions []CloudRegions `yaml:"regions,omitempty"`

	// An imported edition.
	Edition *rawSnapshot `yaml:"edition,omitempty"`
	Rows    []rawRow     `yaml:"rows,omitempty"`

	// Of an overlay: ids of built-in requirements that are not to be used.
	Remove []string `yaml:"remove,omitempty"`
}

type rawDocument struct {
	Title string `yaml:"title"`
	Path  string `yaml:"path"` // with the licence and where it was published
}

type rawEdition struct {
	ID       string `yaml:"id"`
	Alias    string `yaml:"alias,omitempty"`
	Document string `yaml:"document"` // key of documents, or words
	Title    string `yaml:"title,omitempty"`
	Commit   string `yaml:"commit,omitempty"`
	MSDate   string `yaml:"msDate,omitempty"`
}

type rawRequirement struct {
	ID          string         `yaml:"id"`
	Cloud       string         `yaml:"cloud,omitempty"`
	CloudSince  string         `yaml:"cloudUnstatedBefore,omitempty"`
	Destination string         `yaml:"destination"`
	Stated      string         `yaml:"stated,omitempty"`
	Also        []string       `yaml:"also,omitempty"`
	AlsoListed  []string       `yaml:"alsoListed,omitempty"`
	CoveredBy   Coverage       `yaml:"coveredBy,omitempty"`
	Role        Role           `yaml:"role,omitempty"`
	Purpose     string         `yaml:"purpose"`
	Note        string         `yaml:"note,omitempty"`
	NoteSince   string         `yaml:"noteSince,omitempty"`
	Lines       map[string]int `yaml:"lines,omitempty"`
	Probe       string         `yaml:"probe,omitempty"`
	ExitCodes   []int          `yaml:"exitCodes,omitempty"`
	ReplacedBy  string         `yaml:"replacedBy,omitempty"`
	When        Condition      `yaml:"when,omitempty"`
	Ports       []rawPort      `yaml:"ports"`
}

type rawPort struct {
	Port      string    `yaml:"port"`
	Listed    []string  `yaml:"listed"`
	When      Condition `yaml:"when,omitempty"`
	WhenSince string    `yaml:"whenSince,omitempty"`
	Hindsight bool      `yaml:"hindsight,omitempty"`
}

// rawStatement is what every statement has: its words, when it was said, and
// where.
type rawStatement struct {
	Text   string         `yaml:"text"`
	Listed []string       `yaml:"listed"`
	Lines  map[string]int `yaml:"lines,omitempty"`
	Note   string         `yaml:"note,omitempty"`
}

type rawNetworkRule struct {
	rawStatement `yaml:",inline"`
	ID           string    `yaml:"id"`
	Ports        []string  `yaml:"ports"`
	When         Condition `yaml:"when,omitempty"`
	CoveredBy    Coverage  `yaml:"coveredBy"`
}

type rawPrerequisite struct {
	rawStatement `yaml:",inline"`
	ID           string `yaml:"id"`
	Minimum      string `yaml:"minimum,omitempty"`
	Check        string `yaml:"check,omitempty"`
}

type rawDeprecation struct {
	rawStatement `yaml:",inline"`
	Destinations []string `yaml:"destinations"`
	ReplacedBy   string   `yaml:"replacedBy,omitempty"`
	Clouds       []string `yaml:"clouds,omitempty"`
}

type rawAdvice struct {
	rawStatement `yaml:",inline"`
	ID           string    `yaml:"id"`
	Kind         string    `yaml:"kind"`
	When         Condition `yaml:"when,omitempty"`
}

// rawSnapshot is the head of an imported edition.
type rawSnapshot struct {
	ID       string `yaml:"id"`
	Title    string `yaml:"title,omitempty"`
	Document string `yaml:"document,omitempty"`
	MSDate   string `yaml:"msDate,omitempty"`
	Locale   string `yaml:"locale,omitempty"`
	// Unusable counts the cells that could not be read. An edition with holes is
	// no list to open a firewall by: it is refused as an overlay until somebody
	// has filled them in and removed this line.
	Unusable int `yaml:"unusable,omitempty"`
}

// rawRow is one destination of an imported edition.
type rawRow struct {
	Feature     string   `yaml:"feature"`
	Cloud       string   `yaml:"cloud,omitempty"`
	Required    bool     `yaml:"required"`
	Destination string   `yaml:"destination"`
	Ports       []string `yaml:"ports,flow"`
	Line        int      `yaml:"line,omitempty"`
	Purpose     string   `yaml:"purpose,omitempty"`
	Status      string   `yaml:"status,omitempty"` // "" as printed, "repaired", "from-catalog"
}

// NodeDestination is a destination that a firewall on the node itself must
// leave open; a firewall around the cluster never sees it.
type NodeDestination struct {
	ID       string   `yaml:"id"`
	Prefixes []string `yaml:"prefixes"`
	Ports    []string `yaml:"ports"` // "tcp/80"
	Purpose  string   `yaml:"purpose"`
	Note     string   `yaml:"note,omitempty"`
	Source   string   `yaml:"source"` // where the fact stands, with its date
}

// CloudRegions lists the regions of a cloud as az spells them.
type CloudRegions struct {
	Cloud  string   `yaml:"cloud"`
	Source string   `yaml:"source"` // with the day somebody looked
	Names  []string `yaml:"names"`
}
