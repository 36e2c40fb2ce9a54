// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readJSON reads JSON as ARM templates have it, with // and /* */ comments,
// commas before a closing bracket and texts over several lines, and keeps the
// place of every value.
func readJSON(s *source) (value, error) {
	p := &jsonReader{s: s}
	if bytes.HasPrefix(s.data, []byte("\ufeff")) {
		p.off = len("\ufeff")
	}
	v, err := p.value(0)
	if err != nil {
		return value{}, err
	}
	if err := p.space(); err != nil {
		return value{}, err
	}
	if p.off < len(s.data) {
		return value{}, s.fault(p.off, "more text after the end of the JSON value")
	}
	return v, nil
}

type jsonReader struct {
	s   *source
	off int
}

func (p *jsonReader) space() error {
	d := p.s.data
	for p.off < len(d) {
		switch c := d[p.off]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			p.off++
		case c == '/' && p.off+1 < len(d) && d[p.off+1] == '/':
			for p.off < len(d) && d[p.off] != '\n' {
				p.off++
			}
		case c == '/' && p.off+1 < len(d) && d[p.off+1] == '*':
			end := bytes.Index(d[p.off+2:], []byte("*/"))
			if end < 0 {
				return p.s.fault(p.off, "comment without end")
			}
			p.off += end + 4
		default:
			return nil
		}
	}
	return nil
}

// peek skips space and returns the next byte, 0 at the end.
func (p *jsonReader) peek() (byte, error) {
	if err := p.space(); err != nil {
		return 0, err
	}
	if p.off >= len(p.s.data) {
		return 0, nil
	}
	return p.s.data[p.off], nil
}

func (p *jsonReader) value(depth int) (value, error) {
	c, err := p.peek()
	if err != nil {
		return value{}, err
	}
	if depth > maxDepth {
		return value{}, p.s.fault(p.off, "nested too deeply")
	}
	v := value{pos: p.s.pos(p.off)}
	switch {
	case c == 0:
		return value{}, p.s.fault(p.off, "a value is missing")
	case c == '"':
		v.kind = text
		v.text, err = p.text()
		return v, err
	case c == '{':
		return p.object(v, depth)
	case c == '[':
		return p.list(v, depth)
	}
	start := p.off
	for p.off < len(p.s.data) && strings.IndexByte("+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", p.s.data[p.off]) >= 0 {
		p.off++
	}
	v.text = string(p.s.data[start:p.off])
	switch _, err := strconv.ParseFloat(v.text, 64); {
	case v.text == "true" || v.text == "false":
		v.kind = boolean
	case v.text == "null":
		v.kind = null
	case err == nil:
		v.kind = number
	default:
		p.off = max(start+1, p.off)
		return value{}, p.s.fault(start, "not JSON: "+strconv.Quote(string(p.s.data[start:min(p.off, len(p.s.data))])))
	}
	return v, nil
}

func (p *jsonReader) list(v value, depth int) (value, error) {
	v.kind = list
	p.off++
	for {
		c, err := p.peek()
		switch {
		case err != nil:
			return value{}, err
		case c == ']':
			p.off++
			return v, nil
		}
		e, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, e)
		if err := p.comma(']'); err != nil {
			return value{}, err
		}
	}
}

func (p *jsonReader) object(v value, depth int) (value, error) {
	v.kind = object
	p.off++
	for {
		c, err := p.peek()
		switch {
		case err != nil:
			return value{}, err
		case c == '}':
			p.off++
			return v, nil
		case c != '"':
			return value{}, p.s.fault(p.off, "a key is missing")
		}
		at := p.s.pos(p.off)
		key, err := p.text()
		if err != nil {
			return value{}, err
		}
		if c, err = p.peek(); err != nil {
			return value{}, err
		}
		if c != ':' {
			return value{}, p.s.fault(p.off, "a colon is missing after "+strconv.Quote(key))
		}
		p.off++
		e, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.fields = append(v.fields, newField(key, at, e))
		if err := p.comma('}'); err != nil {
			return value{}, err
		}
	}
}

// comma takes a comma, or leaves the closing bracket.
func (p *jsonReader) comma(closing byte) error {
	c, err := p.peek()
	switch {
	case err != nil:
		return err
	case c == ',':
		p.off++
		return nil
	case c == closing:
		return nil
	}
	return p.s.fault(p.off, "a comma or "+strconv.Quote(string(closing))+" is missing")
}

func (p *jsonReader) text() (string, error) {
	start := p.off
	d := p.s.data
	var b strings.Builder
	for p.off++; p.off < len(d); p.off++ {
		c := d[p.off]
		switch {
		case c == '"':
			p.off++
			return b.String(), nil
		case c != '\\':
			b.WriteByte(c)
			continue
		}
		p.off++
		if p.off >= len(d) {
			break
		}
		switch e := d[p.off]; e {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'b', 'f':
			b.WriteByte(' ')
		case 'u':
			n, err := strconv.ParseUint(string(d[min(p.off+1, len(d)):min(p.off+5, len(d))]), 16, 32)
			if err != nil {
				return "", p.s.fault(p.off, "not an escape of four hex digits")
			}
			p.off += 4
			b.Write(utf8.AppendRune(nil, rune(n)))
		default:
			b.WriteByte(e)
		}
	}
	return "", p.s.fault(start, "text without end")
}
