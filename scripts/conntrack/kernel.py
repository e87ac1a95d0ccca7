#!/usr/bin/env python3
"""Sends frames through a bridge of this network namespace and tells what the kernel's connection tracking said of each.

Needs root and a namespace of its own (`unshare --net`). Standard input: records of a four-byte big-endian length and an
Ethernet frame; length 0 forgets all connections. The number of a frame is the low 32 bits of its source MAC. Standard output:
lines "NUMBER STATE", STATE being N(ew), E(stablished), R(elated), I(nvalid) or U(ntracked); frames the kernel threw away
before it looked at their connection are missing. Arguments: `loose` (nf_conntrack_tcp_loose).

The frames pass a bridge with br_netfilter, as they pass Drawbridge: nothing is routed, no TTL is counted. The nflog message
of each packet carries its source MAC, so that no order has to be trusted. Checksums are not verified (captures often hold
unfinished ones).
"""
import fcntl
import os
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002
NETLINK_NETFILTER = 12
NFNL_SUBSYS_CTNETLINK = 1
NFNL_SUBSYS_ULOG = 4
GROUP = 7

RULES = """
table inet parity {
  ct helper ftp4 { type "ftp" protocol tcp; l3proto ip; }
  ct helper ftp6 { type "ftp" protocol tcp; l3proto ip6; }
  ct helper tftp4 { type "tftp" protocol udp; l3proto ip; }
  ct helper tftp6 { type "tftp" protocol udp; l3proto ip6; }
  chain before {
    type filter hook prerouting priority -150;
    meta nfproto ipv4 tcp dport 21 ct helper set "ftp4"
    meta nfproto ipv6 tcp dport 21 ct helper set "ftp6"
    meta nfproto ipv4 udp dport 69 ct helper set "tftp4"
    meta nfproto ipv6 udp dport 69 ct helper set "tftp6"
  }
  chain after {
    type filter hook prerouting priority 0;
    ct state invalid log prefix "I" group 7 snaplen 1 queue-threshold 1
    ct state new log prefix "N" group 7 snaplen 1 queue-threshold 1
    ct state established log prefix "E" group 7 snaplen 1 queue-threshold 1
    ct state related log prefix "R" group 7 snaplen 1 queue-threshold 1
    ct state untracked log prefix "U" group 7 snaplen 1 queue-threshold 1
  }
}
"""


def run(*command, stdin=None):
    r = subprocess.run(command, input=stdin, text=True, capture_output=True)
    if r.returncode != 0:
        sys.exit(f"{' '.join(command)}: {r.stderr.strip()}")


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
    return fd


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def message(subsystem, kind, flags, family, res, body=b""):
    payload = struct.pack("=BBH", family, 0, socket.htons(res)) + body
    return struct.pack("=IHHII", 16 + len(payload), subsystem << 8 | kind, flags, 1, 0) + payload


def netlink():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    s.setsockopt(socket.SOL_SOCKET, 33, 64 * 1024 * 1024)  # SO_RCVBUFFORCE
    s.bind((0, 0))
    return s


def acknowledged(s, what):
    data = s.recv(65536)
    kind, = struct.unpack_from("=H", data, 4)
    error, = struct.unpack_from("=i", data, 16)
    if kind != 2 or error != 0:
        sys.exit(f"{what}: netlink error {-error}")


def prepare(loose):
    run("ip", "link", "add", "paritybr", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
    fds = [tap("parity0"), tap("parity1")]
    for name in ("parity0", "parity1"):
        run("ip", "link", "set", name, "mtu", "65521", "master", "paritybr")
        run("ip", "link", "set", name, "type", "bridge_slave", "learning", "off")
    for name in ("parity0", "parity1", "paritybr"):
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as f:
            f.write("1")
        run("ip", "link", "set", name, "up")
    for path, value in (
        ("bridge/bridge-nf-call-iptables", "1"),
        ("bridge/bridge-nf-call-ip6tables", "1"),
        ("netfilter/nf_conntrack_checksum", "0"),
        ("netfilter/nf_conntrack_tcp_loose", "1" if loose else "0"),
    ):
        with open(f"/proc/sys/net/{path}", "w") as f:
            f.write(value)
    run("nft", "-f", "-", stdin=RULES)
    return fds


def listen():
    s = netlink()
    s.send(message(NFNL_SUBSYS_ULOG, 1, 5, 0, GROUP, attribute(1, b"\x01")))  # NFULNL_CFG_CMD_BIND
    acknowledged(s, "nflog")
    s.setblocking(False)
    return s


def drain(s, out):
    while True:
        try:
            data = s.recv(65536)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == NFNL_SUBSYS_ULOG << 8:
                report(data, at + 20, at + length, out)
            at += (length + 3) & ~3


def report(data, at, end, out):
    number, state = None, "?"
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, at)
        kind &= 0x7FFF
        if kind == 10:  # NFULA_PREFIX
            state = chr(data[at + 4])
        elif kind == 8:  # NFULA_HWADDR: length, padding, address
            number, = struct.unpack_from(">I", data, at + 4 + 4 + 2)
        at += (length + 3) & ~3
    if number is not None:
        out.append(f"{number} {state}")


def main():
    fds = prepare("loose" in sys.argv[1:])
    log, control = listen(), netlink()
    source, out, waiting = sys.stdin.buffer, [], 0
    # The far side of the bridge has to be emptied, or its queue fills; what does not fit is dropped after it was judged.
    while True:
        head = source.read(4)
        if len(head) < 4:
            break
        length, = struct.unpack(">I", head)
        if length == 0:
            control.send(message(NFNL_SUBSYS_CTNETLINK, 2, 5, socket.AF_UNSPEC, 0))
            acknowledged(control, "flush")
            continue
        try:
            os.write(fds[0], source.read(length))
        except OSError:
            pass  # a frame the kernel will not take: it stays without an answer
        waiting += 1
        if waiting == 32:
            waiting = 0
            drain(log, out)
            try:
                while True:
                    os.read(fds[1], 65536)
            except BlockingIOError:
                pass
    drain(log, out)
    sys.stdout.write("\n".join(out) + "\n")


main()
