// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/flow"
)

// categories are the API's names of what the page calls sections.
var categories = map[string]string{
	"azure-resource-management": catalog.Base, "images": catalog.Base, "artifacts": catalog.Base, "time-sync": catalog.Base,
	"apiserver": catalog.Base, "tunnel-classic": catalog.Base,
	"ubuntu-optional": catalog.Optional, "gpu": catalog.GPU, "windows": catalog.Windows,
}

// apiReader walks the answer token by token, so that every row has its line.
type apiReader struct {
	dec   *json.Decoder
	data  []byte
	at    int // offset up to which lines were counted
	line  int
	namer namer
	e     *Edition
	rep   *report
	found bool // the list was there
}

// readAPI reads an answer of outboundNetworkDependenciesEndpoints.
func readAPI(data []byte, known []Known) (*Edition, error) {
	a := &apiReader{
		dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1,
		namer: namer{known: newIndex(known)},
		e:     &Edition{Format: FormatAzureAPI, Lines: countLines(data)}, rep: &report{},
	}
	a.dec.UseNumber()
	t, err := a.token()
	if err == nil {
		switch t {
		case json.Delim('{'):
			err = a.wrapper(0)
		case json.Delim('['):
			err = a.list()
		default:
			err = a.shape("expected an object or a list at the top")
		}
	}
	if err == nil {
		if _, more := a.token(); more == nil {
			err = a.shape("something follows the end of the document")
		}
	}
	if err != nil {
		return nil, err
	}
	if !a.found {
		return nil, &Error{Text: `no list of endpoints found: expected {"value": [...]}, the list alone, or a REST example around it`}
	}
	a.cloud()
	a.e.Findings = a.rep.findings(a.e.Lines)
	return a.e, nil
}

// wrapper looks for the list in the body and in the objects around it.
func (a *apiReader) wrapper(depth int) error {
	return a.object(func(key string, t json.Token) error {
		switch {
		case key == "value" && t == json.Delim('['):
			return a.list()
		case (key == "responses" || key == "200" || key == "body") && t == json.Delim('{') && depth < 4:
			return a.wrapper(depth + 1)
		case key == "nextLink" && t != nil && t != "":
			a.rep.note(a.line, "the answer has a next page, which is not in this document")
		}
		return a.skip(t)
	})
}

// list reads the list of categories.
func (a *apiReader) list() error {
	a.found = true
	return a.array(func(t json.Token) error {
		if t != json.Delim('{') {
			return a.shape("expected an object with category and endpoints")
		}
		a.e.Tables++
		category, first := "", len(a.e.Rows)
		err := a.object(func(key string, t json.Token) error {
			switch {
			case key == "category":
				s, ok := t.(string)
				if !ok {
					return a.shape("category is not a string")
				}
				category = s
				return nil
			case key == "endpoints" && t == json.Delim('['):
				return a.array(a.endpoint)
			case key == "endpoints" && t != nil:
				return a.shape("endpoints is not a list")
			}
			return a.skip(t)
		})
		if err != nil {
			return err
		}
		feature := a.feature(category)
		for i := first; i < len(a.e.Rows); i++ {
			a.e.Rows[i].Feature, a.e.Rows[i].Required = feature, feature != catalog.Optional
		}
		return nil
	})
}

// feature returns the feature of a category.
func (a *apiReader) feature(category string) string {
	s := slug(category)
	if f := categories[s]; f != "" {
		return f
	}
	if f := featureOf(s); f != "" {
		return f
	}
	for _, w := range strings.Split(s, "-") {
		if w == "optional" {
			return catalog.Optional
		}
	}
	if s == "" {
		s = "unnamed"
	}
	a.rep.note(a.line, "the category %q is not known; its rows keep its name as their feature", cut(category, 100))
	return s
}

// detail is one port of an endpoint.
type detail struct {
	port, protocol, description string
	line                        int
}

// endpoint reads one name with its ports.
func (a *apiReader) endpoint(t json.Token) error {
	if t != json.Delim('{') {
		return a.shape("expected an object with domainName and endpointDetails")
	}
	var (
		name    string
		line    = a.line
		details []detail
	)
	err := a.object(func(key string, t json.Token) error {
		switch {
		case key == "domainName":
			s, ok := t.(string)
			if !ok {
				return a.shape("domainName is not a string")
			}
			name, line = s, a.line
			return nil
		case key == "endpointDetails" && t == json.Delim('['):
			return a.array(func(t json.Token) error {
				if t != json.Delim('{') {
					return a.shape("expected an object with port and protocol")
				}
				d, err := a.detail()
				if len(details) < 1000 {
					details = append(details, d)
				}
				return err
			})
		case key == "endpointDetails" && t != nil:
			return a.shape("endpointDetails is not a list")
		}
		return a.skip(t)
	})
	if err != nil {
		return err
	}
	a.rows(name, line, details)
	return nil
}

// detail reads one port; its brace was read.
func (a *apiReader) detail() (d detail, err error) {
	d.line = a.line
	err = a.object(func(key string, t json.Token) error {
		switch key {
		case "port", "protocol":
			if t == json.Delim('{') || t == json.Delim('[') {
				return a.shape("%s is neither a number nor a string", key)
			}
			if key == "port" {
				d.line = a.line
				d.port = fmt.Sprint(t)
			} else {
				d.protocol = fmt.Sprint(t)
			}
			return nil
		case "description":
			d.description, _ = t.(string)
		}
		return a.skip(t)
	})
	return d, err
}

// rows adds the rows of one endpoint.
func (a *apiReader) rows(name string, line int, details []detail) {
	d, ok := canonical(strings.TrimSpace(name))
	switch {
	case !ok || d.port != 0:
		a.rep.unusable(line, name, "domainName is no valid name")
		return
	case len(details) == 0:
		a.rep.unusable(line, name, "the endpoint has no port")
		return
	}
	status := Exact
	d.rules &^= ruleCatalog
	if d.rules != 0 {
		status = Repaired
		a.rep.add(Finding{Line: line, Kind: FindingRepaired, Cell: name, Text: d.rules.String(), Result: d.name})
	}
	for _, dt := range details {
		cell := dt.protocol + ":" + dt.port
		proto, err := flow.ParseProtocol(strings.TrimSpace(dt.protocol))
		_, port, ok := cutPort(":" + dt.port)
		if err != nil || !ok || port == 0 {
			a.rep.unusable(dt.line, cell, "no port and protocol that can be read")
			continue
		}
		if len(a.e.Rows) >= MaxRows {
			a.rep.note(dt.line, "there are more than %d rows; those from here on are not read", MaxRows)
			return
		}
		a.e.Rows = append(a.e.Rows, Row{
			Kind: d.kind, Destination: d.name, Protocol: proto, Port: port,
			Line: dt.line, Purpose: cut(strings.Join(strings.Fields(dt.description), " "), 300), Status: status,
		})
	}
}

// cloud gives the rows of the base categories the cloud whose names stand among
// them: an answer is about one cluster, so about one cloud.
func (a *apiReader) cloud() {
	var b strings.Builder
	for _, r := range a.e.Rows {
		if r.Feature == catalog.Base {
			b.WriteString(r.Destination + " ")
		}
	}
	mark := markedCloud(b.String())
	for i := range a.e.Rows {
		if a.e.Rows[i].Feature == catalog.Base {
			a.e.Rows[i].Cloud = mark
		}
	}
}
