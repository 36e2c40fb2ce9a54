// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/lab/internet"
)

// fill puts what a site is into a configuration: {NAME} stands for a value.
func (s peerSite) fill(text string) string {
	return strings.NewReplacer(
		"{NAME}", benchName, "{DIR}", s.dir, "{SHORT}", s.short.String(), "{BULK}", s.bulk.String(), "{INSIDE}", s.inside.String(),
		"{UPSTREAM}", s.upstream.String(), "{THREADS}", fmt.Sprint(s.threads), "{PORT}", fmt.Sprint(peerPort), "{OTHER}", fmt.Sprint(peerOtherPort),
		"{HALF}", fmt.Sprint(peerConns/2),
	).Replace(text)
}

// peerConns is how many descriptors a peer may take: it needs two for a
// connection, and some systems give a process no more than 20,000.
const peerConns = 19_000

// divertAll brings every connection to the one port of a transparent proxy.
func divertAll(peerSite) agent.Divert {
	return agent.Divert{Inside: InsideLink, Port: 443, To: []agent.Diverted{{Port: peerPort}}, Transparent: true}
}

// divertByServer brings the connections to each server to a port of its own, for proxies
// that do not know where a connection was going.
func divertByServer(s peerSite) agent.Divert {
	return agent.Divert{Inside: InsideLink, Port: 443, To: []agent.Diverted{{Dst: s.short, Port: peerPort}, {Dst: s.bulk, Port: peerOtherPort}}}
}

// haproxy forces splicing, which moves bytes from socket to socket in the
// kernel: splice-auto, its guess, is slower in bulk. Its pipes are as large as
// they may be, since one splice call moves a pipe's worth. defer-accept wakes it
// only when the hello is there, and tcp-smart-connect sends the first
// acknowledgement together with it. The server address 0.0.0.0 is the one that
// the connection was for.
//
// HAProxy 2.6 configuration manual: 4.2 option splice-request, splice-response,
// tcp-smart-connect; 3.2 tune.pipesize; 5.1 defer-accept, transparent; 5.2
// "0.0.0.0"; looked at on 2026-11-23.
func haproxy() *peer {
	return &peer{
		name: "haproxy", title: "HAProxy, splice forced", command: "haproxy", version: []string{"-v"}, divert: divertAll,
		files: func(s peerSite) map[string]string {
			return map[string]string{"haproxy.cfg": s.fill(`global
  nbthread {THREADS}
  maxconn {HALF}
  maxpipes 250
  tune.pipesize 1048576
defaults
  mode tcp
  option splice-request
  option splice-response
  option tcp-smart-connect
  retries 0
  timeout connect 5s
  timeout client 5m
  timeout server 5m
frontend in
  bind :{PORT} transparent defer-accept
  maxconn {HALF}
  tcp-request inspect-delay 3s
  tcp-request content accept if { req.ssl_sni -i {NAME} }
  tcp-request content reject
  default_backend out
backend out
  server out 0.0.0.0
`)}
		},
		argv:  func(s peerSite) []string { return []string{"-db", "-f", filepath.Join(s.dir, "haproxy.cfg")} },
		check: func(s peerSite) []string { return []string{"-c", "-f", filepath.Join(s.dir, "haproxy.cfg")} },
	}
}

// nginx copies: its stream module has no splice, so large buffers are what there
// is to give it. Listening sockets of its workers are apart (reuseport), and the
// name leads to an upstream by a map, so that nothing is resolved.
//
// nginx documentation, ngx_stream_ssl_preread_module, ngx_stream_proxy_module
// (proxy_buffer_size), ngx_stream_core_module (listen); looked at on 2026-11-23.
func nginx() *peer {
	return &peer{
		name: "nginx", title: "nginx, ssl_preread", command: "nginx", version: []string{"-v"}, divert: divertByServer,
		files: func(s peerSite) map[string]string {
			return map[string]string{"nginx.conf": s.fill(`load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
daemon off;
pid {DIR}/pid;
error_log stderr crit;
worker_processes {THREADS};
worker_rlimit_nofile 20000;
events {
  worker_connections 19000;
  multi_accept on;
}
stream {
  proxy_buffer_size 128k;
  proxy_timeout 5m;
  proxy_connect_timeout 5s;
  tcp_nodelay on;
  map $ssl_preread_server_name $short { {NAME} {SHORT}:443; }
  map $ssl_preread_server_name $bulk { {NAME} {BULK}:443; }
  server {
    listen {PORT} reuseport backlog=4096;
    ssl_preread on;
    proxy_pass $short;
  }
  server {
    listen {OTHER} reuseport backlog=4096;
    ssl_preread on;
    proxy_pass $bulk;
  }
}
`)}
		},
		argv: func(s peerSite) []string { return []string{"-e", "stderr", "-c", filepath.Join(s.dir, "nginx.conf")} },
		check: func(s peerSite) []string {
			return []string{"-t", "-e", "stderr", "-c", filepath.Join(s.dir, "nginx.conf")}
		},
	}
}

// squid peeks at the hello and splices. It compares the name with the address, so
// it asks the name server that knows all of them; it would send with the
// client's address, which the other ways hide, so that is turned off. What it
// would cache and log is, too. It has one worker: those of squid 5 share what
// this machine need not have.
//
// squid.conf.documented of 5.7: ssl_bump, https_port tproxy, spoof_client_ip,
// dns_nameservers; looked at on 2026-11-23.
func squid() *peer {
	return &peer{
		name: "squid", title: "Squid, peek and splice", command: "squid", version: []string{"-v"}, divert: divertAll,
		files: func(s peerSite) map[string]string {
			cert, key, _ := internet.NewCA() // it must have one, and uses it for nothing
			return map[string]string{
				"squid.conf": s.fill(`http_port 127.0.0.1:3128
https_port {PORT} tproxy ssl-bump generate-host-certificates=off tls-cert={DIR}/cert.pem tls-key={DIR}/key.pem
spoof_client_ip deny all
acl allowed ssl::server_name {NAME}
acl hello at_step SslBump1
ssl_bump peek hello
ssl_bump splice allowed
ssl_bump terminate all
http_access allow all
hosts_file none
dns_nameservers {UPSTREAM}
cache deny all
cache_mem 0
memory_pools on
memory_pools_limit none
access_log none
cache_log {DIR}/cache.log
cache_store_log none
netdb_filename none
pinger_enable off
logfile_rotate 0
max_filedescriptors 20000
pid_filename {DIR}/pid
coredump_dir {DIR}
shutdown_lifetime 0 seconds
`),
				"cert.pem": string(cert), "key.pem": string(key),
			}
		},
		argv: func(s peerSite) []string {
			return []string{"-N", "-d", "1", "-n", "bench", "-f", filepath.Join(s.dir, "squid.conf")}
		},
		check: func(s peerSite) []string {
			return []string{"-k", "parse", "-n", "bench", "-f", filepath.Join(s.dir, "squid.conf")}
		},
	}
}

// sniproxy has one thread, and no settings that make it faster; logs are off.
//
// sniproxy.conf(5) of 0.6.0; looked at on 2026-11-23.
func sniproxy() *peer {
	return &peer{
		name: "sniproxy", title: "sniproxy", command: "sniproxy", version: []string{"-V"}, divert: divertByServer,
		files: func(s peerSite) map[string]string {
			name := strings.ReplaceAll(benchName, ".", `\.`)
			return map[string]string{"sniproxy.conf": s.fill(`user root
pidfile {DIR}/pid
error_log {
  filename {DIR}/log
  priority alert
}
listener 0.0.0.0:{PORT} {
  protocol tls
  table short
}
listener 0.0.0.0:{OTHER} {
  protocol tls
  table bulk
}
table short {
  ^` + name + `$ {SHORT}:443
}
table bulk {
  ^` + name + `$ {BULK}:443
}
`)}
		},
		argv: func(s peerSite) []string {
			return []string{"-f", "-n", "19000", "-c", filepath.Join(s.dir, "sniproxy.conf")}
		},
	}
}

// unbound forwards and validates nothing, as the gateway's resolver, with a
// thread for each processor, each with its own socket.
//
// unbound.conf(5) of 1.17.1: so-reuseport, num-threads, minimal-responses, and
// "Performance Tuning" of its documentation; looked at on 2026-11-23.
func unbound() *peer {
	return &peer{
		name: wayUnbound, title: "unbound", command: "unbound", version: []string{"-V"}, resolver: true,
		files: func(s peerSite) map[string]string {
			return map[string]string{"unbound.conf": s.fill(`server:
  interface: {INSIDE}
  access-control: 10.240.0.0/16 allow
  username: ""
  chroot: ""
  directory: "{DIR}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  verbosity: 0
  module-config: "iterator"
  do-ip6: no
  num-threads: {THREADS}
  so-reuseport: yes
  so-rcvbuf: 4m
  so-sndbuf: 4m
  msg-cache-slabs: {THREADS}
  rrset-cache-slabs: {THREADS}
  infra-cache-slabs: {THREADS}
  key-cache-slabs: {THREADS}
  msg-cache-size: 64m
  rrset-cache-size: 128m
  minimal-responses: yes
  rrset-roundrobin: no
  outgoing-range: 4096
  num-queries-per-thread: 2048
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: {UPSTREAM}
`)}
		},
		argv: func(s peerSite) []string { return []string{"-d", "-c", filepath.Join(s.dir, "unbound.conf")} },
	}
}
