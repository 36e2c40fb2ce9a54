// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package tlshello

// cursor is the unread rest of a message in the presentation language of RFC
// 8446 section 3. Its methods report whether there was enough to read.
type cursor []byte

// take moves the next n bytes to out.
func (c *cursor) take(out *cursor, n int) bool {
	if len(*c) < n {
		return false
	}
	*out, *c = (*c)[:n:n], (*c)[n:]
	return true
}

// skip leaves out the next n bytes.
func (c *cursor) skip(n int) bool {
	var out cursor
	return c.take(&out, n)
}

func (c *cursor) uint8(out *uint8) bool {
	var b cursor
	if !c.take(&b, 1) {
		return false
	}
	*out = b[0]
	return true
}

func (c *cursor) uint16(out *uint16) bool {
	var b cursor
	if !c.take(&b, 2) {
		return false
	}
	*out = uint16(b[0])<<8 | uint16(b[1])
	return true
}

// vector8 moves the bytes behind a one-byte length to out.
func (c *cursor) vector8(out *cursor) bool {
	var n uint8
	return c.uint8(&n) && c.take(out, int(n))
}

// vector16 moves the bytes behind a two-byte length to out.
func (c *cursor) vector16(out *cursor) bool {
	var n uint16
	return c.uint16(&n) && c.take(out, int(n))
}
