#!/usr/bin/env python3
"""An SFTP server that lies, in the place of `ssh -s HOST sftp`. FAKE_SFTP says how.

It holds an empty store: freezer.json, of 1000 bytes. With `count=N`, each folder has N more files,
in no order. None of them is a store's.
"""

import os
import struct
import sys
import time

mode = os.environ.get("FAKE_SFTP", "")
count = int(mode.split("=")[1]) if mode.startswith("count=") else 0
incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer

OPEN, CLOSE, READ, FSTAT, OPENDIR, READDIR, STAT = 3, 4, 5, 8, 11, 12, 17
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, END, MISSING, FAILURE = 0, 1, 2, 4
FILE, FOLDER = 0o100644, 0o40755
BODY = (b'{"format":"freezer store","version":1,"id":"00112233445566778899aabbccddeeff",'
        b'"cipher":"none","created":"2026-11-22T22:34:50Z"}').ljust(1000)


def text(value):
    return struct.pack(">I", len(value)) + value


def attributes(size, kind):
    return struct.pack(">IQI", 1 | 4, size, kind)


def packet():
    head = incoming.read(4)
    if len(head) < 4:
        sys.exit(0)
    return incoming.read(struct.unpack(">I", head)[0])


def raw(data):
    outgoing.write(data)
    outgoing.flush()


def send(kind, number, rest):
    raw(text(bytes([kind]) + number + rest))


def status(number, code, words=b"so it is"):
    send(STATUS, number, struct.pack(">I", code) + text(words) + text(b""))


def names(number, rows):
    send(NAME, number, struct.pack(">I", len(rows)) + b"".join(
        text(name) + text(b"") + attributes(7, kind) for name, kind in rows))


def read(number, offset, length):
    if mode == "long":
        send(DATA, number, text(b"y" * 200_000))
    elif mode == "empty":
        send(DATA, number, text(b""))
    elif mode == "another":
        send(DATA, b"\xff\xff\xff\xff", text(BODY[offset:offset + length]))
    elif mode == "huge":
        raw(struct.pack(">I", 1 << 31))
    elif mode == "crumbs":
        send(DATA, number, text(BODY[offset % 1000:][:1]))
    elif mode == "drip":
        data = text(bytes([DATA]) + number + text(BODY[offset:offset + length]))
        for byte in data:
            raw(bytes([byte]))
            time.sleep(0.1)
    elif mode == "escape":
        status(number, FAILURE, b"\x1b[31mred\x07\nfreezer: all is well \xe2\x80\xae")
    elif mode == "wrong type":
        send(HANDLE, number, text(b"h"))
    elif mode == "cut":
        sys.exit(0)
    else:
        send(DATA, number, text(BODY[offset:offset + length]))


def folder(path):
    """Yields the packets' rows of a folder."""
    if mode == "endless folders":
        number = 0
        while True:
            yield [(b"h%d" % (number + at), FOLDER) for at in range(1000)]
            number += 1000
    if mode == "nested":
        yield [(b"d", FOLDER)]
        return
    if mode == "odd names":
        yield [(name, FOLDER) for name in (b"..", b".", b"a/b", b"", b"\x1b[31m", b"x\0y", b"\xff")]
    if mode == "dripping":
        while True:
            yield [(b"x y", FILE)]
    for first in range(0, count, 1000):
        yield [(b"%09d" % ((first + at) * 7919 % count), FILE)
               for at in range(min(1000, count - first))]


def main():
    packet()
    if mode == "no greeting":
        packet()
    raw(struct.pack(">I", 2**32 - 1) if mode == "huge greeting" else b"")
    raw(text(b"\2" + struct.pack(">I", 99 if mode == "version 99" else 3)))
    size = {"huge size": 2**63, "short": 2000, "crumbs": 10_000}.get(mode, len(BODY))
    open_folders = {}
    while True:
        request = packet()
        kind, number, rest = request[0], request[1:5], request[5:]
        if kind == OPEN:
            if rest[4:].split(b"\0")[0].endswith(b"freezer.json"):
                send(HANDLE, number, text(b"file"))
            else:
                status(number, MISSING)
        elif kind == FSTAT:
            send(ATTRS, number, attributes(size, FILE))
        elif kind == READ:
            at = 4 + struct.unpack(">I", rest[:4])[0]
            offset, length = struct.unpack(">QI", rest[at:at + 12])
            if offset >= size or mode == "short" and offset >= len(BODY):
                status(number, END)
            else:
                read(number, offset, length)
        elif kind == OPENDIR:
            handle = b"%d" % len(open_folders)
            open_folders[handle] = folder(rest[4:])
            send(HANDLE, number, text(handle))
        elif kind == READDIR:
            rows = next(open_folders[rest[4:]], None)
            if mode == "count of names":
                send(NAME, number, struct.pack(">I", 2**32 - 1))
            elif rows is None:
                status(number, END)
            else:
                names(number, rows)
        elif kind == STAT:
            status(number, MISSING)
        else:
            status(number, OK)


main()
