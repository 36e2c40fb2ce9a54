// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// token reads the next token and keeps count of lines.
func (a *apiReader) token() (json.Token, error) {
	t, err := a.dec.Token()
	off := min(int(a.dec.InputOffset()), len(a.data))
	if err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			// Some errors count the character at fault, some stop before it.
			off = min(int(syntax.Offset), len(a.data))
			if off > 0 && (off == len(a.data) || !strings.Contains(err.Error(), strconv.QuoteRune(rune(a.data[off])))) {
				off--
			}
		} else {
			off = len(a.data)
		}
		lastBreak := bytes.LastIndexByte(a.data[:off], '\n')
		return nil, &Error{Line: lineOf(a.data, off), Column: off - lastBreak, Text: "JSON: " + err.Error()}
	}
	if off > a.at {
		a.line += bytes.Count(a.data[a.at:off], []byte{'\n'})
		a.at = off
	}
	return t, nil
}

// shape is an error about JSON that is valid and not what is expected.
func (a *apiReader) shape(format string, args ...any) error {
	return &Error{Line: a.line, Text: fmt.Sprintf(format, args...)}
}

// skip passes over the value that begins with t.
func (a *apiReader) skip(t json.Token) error {
	depth := 0
	for {
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 {
			return nil
		}
		var err error
		if t, err = a.token(); err != nil {
			return err
		}
	}
}

// object calls member for every member of the object whose brace was read,
// with its first token.
func (a *apiReader) object(member func(key string, t json.Token) error) error {
	for {
		t, err := a.token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return nil // the closing brace
		}
		if t, err = a.token(); err != nil {
			return err
		}
		if err := member(key, t); err != nil {
			return err
		}
	}
}

// array calls element for every element of the list whose bracket was read.
func (a *apiReader) array(element func(t json.Token) error) error {
	for {
		t, err := a.token()
		if err != nil {
			return err
		}
		if t == json.Delim(']') {
			return nil
		}
		if err := element(t); err != nil {
			return err
		}
	}
}
