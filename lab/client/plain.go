// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// word begins what a client says that speaks plain TCP or UDP; its nonce
// follows.
const word = "SALLYPORT "

// echo sends the nonce and waits until it comes back. A server may greet first.
func echo(c net.Conn, t Target) error {
	line := word + t.Nonce + "\n"
	if _, err := c.Write([]byte(line)); err != nil {
		return err
	}
	if t.Kind == UDP {
		buf := make([]byte, 2048)
		n, err := c.Read(buf)
		if err == nil && string(buf[:n]) != line {
			err = fmt.Errorf("the answer %q is not an echo", buf[:n])
		}
		return err
	}
	r := bufio.NewReader(c)
	for range 2 {
		got, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if got == line {
			return nil
		}
		if !strings.HasPrefix(got, "SSH-2.0-") {
			return fmt.Errorf("the answer %q is not an echo", got)
		}
	}
	return errors.New("the server greets and greets")
}

// askTime asks an NTP server (RFC 5905 section 7.3) with the nonce as transmit
// time: a server sends that back as origin time.
func askTime(c net.Conn, nonce string) error {
	id, err := hex.DecodeString(nonce)
	if err != nil || len(id) != 8 {
		return fmt.Errorf("nonce %q is not 16 hexadecimal digits", nonce)
	}
	q := make([]byte, 48)
	q[0] = 4<<3 | 3 // version 4, client
	copy(q[40:], id)
	if _, err := c.Write(q); err != nil {
		return err
	}
	a := make([]byte, 512)
	n, err := c.Read(a)
	if err != nil {
		return err
	}
	const ntpEpoch = -2208988800 // 1900-01-01 in Unix time
	switch {
	case n < 48 || a[0]&7 != 4:
		return fmt.Errorf("the answer %x is no time server's", a[:n])
	case string(a[24:32]) != string(id):
		return errors.New("the answer is to another question")
	case a[1] == 0 || a[1] > 15:
		return fmt.Errorf("the server's stratum is %d", a[1])
	}
	told := time.Unix(int64(binary.BigEndian.Uint32(a[40:]))+ntpEpoch, 0)
	if off := time.Since(told).Abs(); off > 10*time.Second {
		return fmt.Errorf("the server's clock is off by %s", off)
	}
	return nil
}
