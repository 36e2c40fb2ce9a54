// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import "strconv"

// Body says how the end of a message is found. The zero Body is none. Bodies
// compare with ==.
type Body struct {
	Kind   BodyKind
	Length int64 // bytes, above 0, for Sized; 0 for the others
}

// BodyKind is a way to find the end of a message.
type BodyKind uint8

// Kinds of body.
const (
	NoBody     BodyKind = iota
	Sized               // Content-Length tells the bytes that follow
	Chunked             // Chunks finds the end
	UntilClose          // a response that ends with its connection
)

// String writes the body for people.
func (b Body) String() string {
	switch b.Kind {
	case NoBody:
		return "none"
	case Sized:
		return strconv.FormatInt(b.Length, 10) + " bytes"
	case Chunked:
		return "chunked"
	case UntilClose:
		return "until close"
	}
	return "body" + strconv.Itoa(int(b.Kind))
}
