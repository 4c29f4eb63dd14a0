"""Listens on a free port, which it prints, and prints each message of the forward protocol as JSON: MessagePack, decoded here
by its specification (github.com/msgpack/msgpack, spec.md)."""
import json
import socket
import struct


class Reader:
    def __init__(self, connection):
        self.connection = connection

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.connection.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def value(self):
        kind = self.number("B")
        if kind < 0x80:
            return kind
        if kind >= 0xE0:
            return kind - 256
        if kind < 0x90:
            return self.pairs(kind & 15)
        if kind < 0xA0:
            return [self.value() for _ in range(kind & 15)]
        if kind < 0xC0:
            return self.take(kind & 31).decode()
        plain = {0xC0: None, 0xC2: False, 0xC3: True}
        numbers = {0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q", 0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q"}
        texts = {0xD9: "B", 0xDA: "H", 0xDB: "I"}
        if kind in plain:
            return plain[kind]
        if kind in numbers:
            return self.number(numbers[kind])
        if kind in texts:
            return self.take(self.number(texts[kind])).decode()
        if kind in (0xDC, 0xDD):
            return [self.value() for _ in range(self.number("H" if kind == 0xDC else "I"))]
        if kind in (0xDE, 0xDF):
            return self.pairs(self.number("H" if kind == 0xDE else "I"))
        if kind == 0xD7 and self.number("b") == 0:  # EventTime
            return "%d.%09d" % (self.number("I"), self.number("I"))
        raise ValueError(hex(kind))

    def pairs(self, n):
        return {self.value(): self.value() for _ in range(n)}


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    reader = Reader(listener.accept()[0])
    try:
        while True:
            print(json.dumps(reader.value()), flush=True)
    except EOFError:
        pass
