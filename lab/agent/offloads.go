// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offloads says whether a namespace's links may carry packets longer than their
// MTU, to be cut later or never.
type Offloads struct {
	On bool `json:"on"`
}

// SetOffloads turns segmentation and receive offloads of every link but lo on or
// off. What the kernel sends itself is then cut before it is on the link.
func SetOffloads(_ context.Context, o Offloads) (struct{}, error) {
	links, err := net.Interfaces()
	if err != nil {
		return struct{}{}, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return struct{}{}, err
	}
	defer unix.Close(fd)
	for _, l := range links {
		if l.Flags&net.FlagLoopback != 0 {
			continue
		}
		commands := []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO}
		if !o.On { // a veth has receive offload off unless told otherwise
			commands = append(commands, unix.ETHTOOL_SGRO)
		}
		for _, c := range commands {
			if err := ethtool(fd, l.Name, c, o.On); err != nil {
				return struct{}{}, fmt.Errorf("set offloads of %s: %w", l.Name, err)
			}
		}
	}
	return struct{}{}, nil
}

// ethtool gives a link one setting (linux/ethtool.h: struct ethtool_value, by
// SIOCETHTOOL in a struct ifreq).
func ethtool(fd int, link string, command uint32, on bool) error {
	value := struct{ command, data uint32 }{command: command}
	if on {
		value.data = 1
	}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], link)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
