// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"errors"
	"math"
)

// Bounds of what a chunked body may carry beside its content.
const (
	maxSizeDigits = 16
	maxExtension  = 256      // bytes of chunk extensions on one line
	maxOverhead   = 4 << 10  // bytes of extensions that content has not made up for
	maxTrailers   = 16 << 10 // bytes of all trailer lines
)

// Errors of Chunks.Scan.
var (
	ErrChunk   = errors.New("the chunked body is malformed, or its end can be read in two ways")
	ErrTrailer = errors.New("the trailers behind the chunked body are malformed or too long")
)

// Chunks follows a chunked body (RFC 9112 section 7.1) as it passes by, without
// holding it. The zero Chunks is ready for a body; each body needs its own.
type Chunks struct {
	state    chunkState
	digits   int
	left     uint64 // content of this chunk still to come; the size while it is read
	length   uint64 // content that has passed
	line     int    // bytes of extensions on this line
	overhead int    // bytes of extensions that content has not made up for
	trailers int
	name     [20]byte // the trailer name being read, as far as it fits
	nameLen  int
	err      error
}

type chunkState uint8

const (
	inSize      chunkState = iota // size digits
	inExtension                   // behind the semicolon
	sizeEnd                       // line feed behind the size
	inData
	dataCR
	dataLF
	trailerStart // at the beginning of a line behind the last chunk
	trailerName
	trailerValue
	trailerEnd // line feed of a trailer line
	finalLF    // line feed of the empty line
	chunksDone
)

// Length returns the bytes of content that have passed.
func (c *Chunks) Length() uint64 { return c.length }

// Scan takes the next bytes of the body from b and returns how many belong to
// it: all of them, unless done is true, when what follows is another message.
// An error is final.
func (c *Chunks) Scan(b []byte) (n int, done bool, err error) {
	for n < len(b) && c.state != chunksDone && c.err == nil {
		if c.state == inData {
			k := min(uint64(len(b)-n), c.left)
			n += int(k)
			c.left -= k
			c.length += k
			if c.left == 0 {
				c.state = dataCR
			}
			continue
		}
		c.err = c.step(b[n])
		n++
	}
	return n, c.state == chunksDone && c.err == nil, c.err
}

// step takes in one byte that is not content.
func (c *Chunks) step(b byte) error {
	switch c.state {
	case inSize:
		return c.sizeByte(b)
	case inExtension:
		if b == '\r' {
			c.state = sizeEnd
			return nil
		}
		c.line++
		if c.line > maxExtension || !isText([]byte{b}) {
			return ErrChunk
		}
	case sizeEnd:
		return c.beginChunk(b)
	case dataCR:
		return c.expect(b, '\r', dataLF, ErrChunk)
	case dataLF:
		c.digits, c.line = 0, 0
		return c.expect(b, '\n', inSize, ErrChunk)
	case finalLF:
		return c.expect(b, '\n', chunksDone, ErrTrailer)
	default:
		return c.trailerByte(b)
	}
	return nil
}

// expect goes on to the next state when b is want.
func (c *Chunks) expect(b, want byte, next chunkState, otherwise error) error {
	if b != want {
		return otherwise
	}
	c.state = next
	return nil
}

// sizeByte reads chunk-size. White space behind it, which RFC 9112 lets a
// recipient skip, is refused.
func (c *Chunks) sizeByte(b byte) error {
	switch v := hexValue(b); {
	case v >= 0:
		if c.digits++; c.digits > maxSizeDigits {
			return ErrChunk
		}
		c.left = c.left<<4 | uint64(v)
	case c.digits == 0:
		return ErrChunk
	case b == ';':
		c.state = inExtension
	case b == '\r':
		c.state = sizeEnd
	default:
		return ErrChunk
	}
	return nil
}

// beginChunk takes the line feed behind a size.
func (c *Chunks) beginChunk(b byte) error {
	if b != '\n' || c.left > math.MaxInt64-c.length {
		return ErrChunk
	}
	c.overhead += c.line
	c.overhead -= int(min(uint64(c.overhead), c.left))
	if c.overhead > maxOverhead {
		return ErrChunk
	}
	c.state = inData
	if c.left == 0 {
		c.state = trailerStart
	}
	return nil
}

// trailerByte reads the trailer section (RFC 9112 section 7.1.2), field lines
// as strict as those of a head, none of which may be about framing.
func (c *Chunks) trailerByte(b byte) error {
	if c.trailers++; c.trailers > maxTrailers {
		return ErrTrailer
	}
	switch c.state {
	case trailerStart:
		if b == '\r' {
			c.state = finalLF
			return nil
		}
		c.state, c.nameLen = trailerName, 0
		return c.nameByte(b)
	case trailerName:
		return c.nameByte(b)
	case trailerValue:
		if b == '\r' {
			c.state = trailerEnd
		} else if !isText([]byte{b}) {
			return ErrTrailer
		}
		return nil
	default:
		return c.expect(b, '\n', trailerStart, ErrTrailer)
	}
}

func (c *Chunks) nameByte(b byte) error {
	switch {
	case b == ':' && c.nameLen > 0:
		if c.nameLen <= len(c.name) && isFraming(c.name[:c.nameLen]) {
			return ErrTrailer
		}
		c.state = trailerValue
	case isToken(b):
		if c.nameLen < len(c.name) {
			c.name[c.nameLen] = b
		}
		c.nameLen++
	default:
		return ErrTrailer
	}
	return nil
}
