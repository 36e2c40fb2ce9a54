// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// decode checks the size and the encoding of a document and returns it as
// UTF-8 without a byte order mark. UTF-16 is understood when it has a mark.
func decode(data []byte) ([]byte, error) {
	if len(data) > MaxSize {
		return nil, tooLarge()
	}
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		data = fromUTF16(data[2:], 0, 1)
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		data = fromUTF16(data[2:], 1, 0)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, &Error{Line: lineOf(data, i), Text: "holds a NUL byte: this is no text"}
	}
	if !utf8.Valid(data) {
		i := 0
		for i < len(data) {
			r, n := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			i += n
		}
		return nil, &Error{Line: lineOf(data, i), Text: fmt.Sprintf(
			"byte 0x%02x is not valid UTF-8: convert the file first, for example with iconv -f WINDOWS-1252 -t UTF-8", data[i])}
	}
	return data, nil
}

// fromUTF16 converts UTF-16 whose low and high bytes stand at lo and hi of each
// pair. A half character at the end is dropped with the pair it lacks.
func fromUTF16(data []byte, lo, hi int) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i+1 < len(data); i += 2 {
		r := rune(data[i+lo]) | rune(data[i+hi])<<8
		if utf16.IsSurrogate(r) && i+3 < len(data) {
			if full := utf16.DecodeRune(r, rune(data[i+2+lo])|rune(data[i+2+hi])<<8); full != utf8.RuneError {
				r, i = full, i+2
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// lineOf returns the number of the line that offset stands in.
func lineOf(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte{'\n'}) }
