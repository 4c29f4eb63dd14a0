"""A name server on 127.0.0.1 with three names, whose answers change their order with each query. Prints a line when it
listens."""
import itertools
import socket
import struct

A, AAAA, SRV = 1, 28, 33


def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def service(priority, weight, port, target):
    return struct.pack(">HHH", priority, weight, port) + name(target)


ZONE = {
    ("web.test", A): [socket.inet_aton(address) for address in ("10.0.0.9", "10.0.0.10")],
    ("web.test", AAAA): [socket.inet_pton(socket.AF_INET6, "fd00::9")],
    ("_http._tcp.web.test", SRV): [service(1, 5, 8080, "b.test"), service(1, 5, 80, "a.test")],
}
NAMES = {key for key, _ in ZONE}


def answer(query, turn):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    asked = ".".join(labels).lower()
    (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
    found = ZONE.get((asked, kind), [])[:: 1 if turn else -1]
    flags = 0x8180 if asked in NAMES else 0x8183
    records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for data in found)
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + query[12 : at + 5] + records


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 53))
    print("listening", flush=True)
    for turn in itertools.cycle((True, False)):
        packet, client = server.recvfrom(512)
        server.sendto(answer(packet, turn), client)
