// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package tlshello

// Extension code points (IANA TLS ExtensionType Values) that are looked into.
const (
	extServerName        = 0
	extALPN              = 16
	extSessionTicket     = 35
	extPreSharedKey      = 41
	extEarlyData         = 42
	extSupportedVersions = 43
	extECHOuter          = 0xfd00 // ech_outer_extensions, only ever inside an encrypted hello
	extECH               = 0xfe0d // RFC 9849
)

// isDraftECH reports whether an extension hid the server name in a draft on
// the way to ECH: draft-ietf-tls-esni-00 to -06, -07, and -08 to -12.
func isDraftECH(ext uint16) bool {
	switch ext {
	case 0xffce, 0xff02, 0xff03:
		return true
	}
	return ext >= 0xfe08 && ext <= 0xfe0c
}

// parse reads a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2)
// with its handshake header. Every length must add up. It reports whether msg
// is well formed.
func (h *Hello) parse(msg []byte) bool {
	c := cursor(msg)
	var random, session, ciphers, compression, extensions cursor
	ok := c.skip(handshakeHeader) &&
		c.uint16(&h.Version) && h.Version>>8 == majorVersion &&
		c.take(&random, 32) &&
		c.vector8(&session) && len(session) <= 32 &&
		c.vector16(&ciphers) && len(ciphers) >= 2 && len(ciphers)%2 == 0 &&
		c.vector8(&compression) && len(compression) >= 1
	if !ok {
		return false
	}
	if len(c) == 0 {
		return true // TLS 1.2 and older may have no extensions at all
	}
	if !c.vector16(&extensions) || len(c) != 0 {
		return false
	}
	var seen [1 << 16 / 64]uint64
	for len(extensions) > 0 {
		var ext uint16
		var data cursor
		if !extensions.uint16(&ext) || !extensions.vector16(&data) {
			return false
		}
		if seen[ext/64]&(1<<(ext%64)) != 0 {
			return false
		}
		seen[ext/64] |= 1 << (ext % 64)
		if !h.extension(ext, data, len(extensions) == 0) {
			return false
		}
	}
	return true
}

// extension takes in one extension; last tells whether it is the last one.
func (h *Hello) extension(ext uint16, data cursor, last bool) bool {
	switch ext {
	case extServerName:
		return h.serverName(data)
	case extALPN:
		return h.alpn(data)
	case extSessionTicket:
		h.Ticket = len(data) > 0
	case extPreSharedKey:
		h.PSK = true
		return last // RFC 8446 section 4.2.11
	case extEarlyData:
		h.EarlyData = true
		return len(data) == 0
	case extSupportedVersions:
		return h.supportedVersions(data)
	case extECHOuter:
		return false
	case extECH:
		h.ECH = true
		return isOuterECH(data)
	default:
		if isDraftECH(ext) {
			h.DraftECH = true
		}
	}
	return true
}

// serverName reads server_name (RFC 6066 section 3). The list may be empty or
// hold one entry; two can be read in two ways, even when only one of them is a
// host name.
func (h *Hello) serverName(data cursor) bool {
	var list, name cursor
	if !data.vector16(&list) || len(data) != 0 {
		return false
	}
	if len(list) == 0 {
		return true
	}
	var kind uint8
	if !list.uint8(&kind) || !list.vector16(&name) || len(list) != 0 {
		return false
	}
	if kind == 0 && len(name) > 0 {
		h.Name = name
	}
	return true
}

// alpn reads application_layer_protocol_negotiation (RFC 7301 section 3.1).
func (h *Hello) alpn(data cursor) bool {
	var list, name cursor
	if !data.vector16(&list) || len(data) != 0 || len(list) == 0 {
		return false
	}
	h.ALPN = list
	for len(list) > 0 {
		if !list.vector8(&name) || len(name) == 0 {
			return false
		}
	}
	return true
}

// supportedVersions reads supported_versions (RFC 8446 section 4.2.1).
func (h *Hello) supportedVersions(data cursor) bool {
	var list cursor
	if !data.vector8(&list) || len(data) != 0 || len(list) == 0 {
		return false
	}
	for len(list) > 0 {
		var v uint16
		if !list.uint16(&v) {
			return false
		}
		h.TLS13 = h.TLS13 || v == 0x0304
	}
	return true
}

// isOuterECH reports whether data is the outer form of encrypted_client_hello
// (RFC 9849 section 5). The inner form has no place in a hello on the wire.
func isOuterECH(data cursor) bool {
	var kind uint8
	var enc, payload cursor
	return data.uint8(&kind) && kind == 0 &&
		data.skip(2+2+1) && // KDF, AEAD, config id
		data.vector16(&enc) &&
		data.vector16(&payload) && len(payload) > 0 &&
		len(data) == 0
}
