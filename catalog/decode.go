// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// maxFile is the longest data file that is read, in bytes.
const maxFile = 16 << 20

// places says on which line each entry of a file's lists stands.
type places map[string][]int

// of returns the line of the entry with index i, 1 when that is not known.
func (p places) of(list string, i int) int {
	if i < len(p[list]) {
		return p[list][i]
	}
	return 1
}

// decoded is a data file as it is written, or what is wrong with it.
type decoded struct {
	raw   rawFile
	lines places
	err   error
}

// decodeFile reads a data file of a directory, as far as it may be long.
func decodeFile(dir fs.FS, name string) decoded {
	f, err := dir.Open(name)
	if err != nil {
		return decoded{err: err}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return decoded{err: err}
	}
	return decode(data)
}

// decode reads a data file, strictly.
func decode(data []byte) (d decoded) {
	if len(data) > maxFile {
		return decoded{err: fmt.Errorf("is longer than %d MiB", maxFile>>20)}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithV4Defaults(),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(32))))
	if err != nil {
		return decoded{err: err}
	}
	var doc yaml.Node
	if err := loader.Load(&doc); err != nil {
		if err == io.EOF {
			err = errors.New("is empty")
		}
		return decoded{err: err}
	}
	if err := loader.Load(new(yaml.Node)); err != io.EOF {
		if err == nil {
			err = errors.New("holds more than one document: write each into a file of its own, without ---")
		}
		return decoded{err: err}
	}
	if err := doc.Load(&d.raw, yaml.WithV4Defaults(), yaml.WithKnownFields()); err != nil {
		return decoded{err: err}
	}
	d.lines = make(places)
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	for i := 0; i+1 < len(root.Content) && root.Kind == yaml.MappingNode; i += 2 {
		for _, item := range root.Content[i+1].Content {
			d.lines[root.Content[i].Value] = append(d.lines[root.Content[i].Value], item.Line)
		}
	}
	return d
}

// lineIn finds the line that the YAML library names inside a message.
var lineIn = regexp.MustCompile(`^(?:yaml: )?line (\d+)(?:, column \d+)?: `)

// decodeFault records what the YAML library says of a file, each with its line.
func (l *loader) decodeFault(at Source, err error) {
	var one *yaml.LoadError
	var many *yaml.LoadErrors
	switch {
	case errors.As(err, &many):
		for _, e := range many.Errors {
			l.yamlFault(at, e)
		}
	case errors.As(err, &one):
		l.yamlFault(at, one)
	default:
		l.yamlFault(at, err)
	}
}

func (l *loader) yamlFault(at Source, err error) {
	var e *yaml.LoadError
	msg := err.Error()
	if errors.As(err, &e) && e.Mark.Line > 0 {
		at.Line, msg = e.Mark.Line, e.Message
	}
	if m := lineIn.FindStringSubmatch(msg); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	l.fault(at, "%s", plainYAML(msg))
}

// What the YAML library says in the words of Go, and the same for people.
var (
	yamlField = regexp.MustCompile(`^field (\S+) not found in type catalog\.raw(\w+)$`)
	yamlType  = regexp.MustCompile(`^cannot construct !!(\w+)(?: .([^\x60]*).)? into \S+$`)
)

func plainYAML(msg string) string {
	if m := yamlField.FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("%s is not a key of a %s", m[1], strings.ToLower(m[2]))
	}
	if m := yamlType.FindStringSubmatch(msg); m != nil {
		kind := map[string]string{"str": "text", "seq": "a list", "map": "keys and values", "int": "a number", "bool": "true or false"}[m[1]]
		if kind == "" {
			kind = m[1]
		}
		if m[2] != "" {
			kind += fmt.Sprintf(" (%q)", m[2])
		}
		return kind + " does not fit here"
	}
	return msg
}
