#!/usr/bin/env python3
"""Turns a level of a Freezer store into a tar stream, without Freezer.

  freezer-rescue.py STORE                                  list the levels
  freezer-rescue.py STORE HOST/NAME --tree > tree.tar      the newest point in time of a backup, all
                                                           of it
  freezer-rescue.py STORE HOST/NAME/LEVEL --tree | tar x   a certain one
  freezer-rescue.py STORE HOST/NAME/LEVEL > level.tar      what that level itself has stored: all if
                                                           it is level 0, else what was new

Needs Python 3.9 or newer and the programs of the compression used (zstd; gzip, bzip2, xz). A store
with a passphrase also needs the package `cryptography`, and for Argon2 one of: cryptography 44 or
newer, the package argon2-cffi, the library libargon2.
The numbers in comments are sections of docs/format.md.
"""

import argparse, base64, bisect, bz2, ctypes, ctypes.util, getpass, hashlib, hmac
import io, json, lzma, os, re, struct, subprocess, sys, tarfile
import urllib.parse, zlib

HEADER = struct.Struct(
    "<4sBBBBQII16s"
)  # 4: magic, lane, compression, cipher, 0, number, raw length, payload length, IV
TAG_BYTES, MAX_RAW_BYTES = 32, 64 << 20
STREAM, INDEX, FRAMES, MANIFEST, REPACKED = 0, 1, 2, 3, 5  # 4: lanes
PROGRAMS = {1: "gzip", 2: "bzip2", 3: "xz", 4: "zstd"}
FILLER = b"[damaged: see freezer-rescue]\n"  # not zeros: to tar these are the end
METHODS = {"none": 0, "gzip": 1, "bzip2": 2, "xz": 3, "zstd": 4}
LEVEL = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}")
KEY = re.compile(r"[0-9a-f]{8}\.json")
NUMBER = re.compile(r"\d{8}|A\d{10}")
ENCRYPTED = "aes-256-cfb+hmac-sha256"


class Refused(Exception):
    """Bytes that cannot be what they should be."""


def say(*words):
    print("freezer-rescue:", *words, file=sys.stderr)


# ---------------------------------------------------------------- keys: section 3
def argon2id(passphrase, salt, cost):
    memory, passes, lanes = cost["memory_kib"], cost["passes"], cost["lanes"]
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        return Argon2id(
            salt=salt, length=64, iterations=passes, lanes=lanes, memory_cost=memory
        ).derive(passphrase)
    except Exception as e:  # older than 44, or built with an OpenSSL older than 3.2
        if not isinstance(e, ImportError) and type(e).__name__ != "UnsupportedAlgorithm":
            raise
    try:
        from argon2.low_level import Type, hash_secret_raw

        return hash_secret_raw(passphrase, salt, passes, memory, lanes, 64, Type.ID)
    except ImportError:
        pass
    found = ctypes.util.find_library("argon2")
    if not found:
        sys.exit(
            "Argon2 is missing: install libargon2-1 (Debian), "
            "or with pip cryptography 44 or newer, or argon2-cffi"
        )
    out = ctypes.create_string_buffer(64)
    number, size = ctypes.c_uint32, ctypes.c_size_t
    result = ctypes.CDLL(found).argon2id_hash_raw(
        number(passes),
        number(memory),
        number(lanes),
        passphrase,
        size(len(passphrase)),
        salt,
        size(len(salt)),
        out,
        size(64),
    )
    if result:
        sys.exit("libargon2 refuses: error %d" % result)
    return out.raw


def aes_256_cfb_decrypt(key, iv, data):
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

        try:
            from cryptography.hazmat.decrepit.ciphers.modes import CFB
        except ImportError:
            from cryptography.hazmat.primitives.ciphers.modes import CFB
    except ImportError:
        sys.exit(
            "the Python package cryptography is missing: "
            "install python3-cryptography (Debian), or cryptography with pip"
        )
    decryptor = Cipher(algorithms.AES(key), CFB(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def hkdf_sha256(master, salt, info):  # RFC 5869 with one block of output: 32 bytes
    prk = hmac.new(salt, master, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def unwrap(slot, store_id, passphrase):
    """The master key, or None if the slot is another passphrase's."""
    if slot["version"] != 1 or slot["kdf"] != "argon2id":
        raise Refused("key %s has a newer format" % slot["id"])
    salt, iv, wrapped, tag = (
        base64.b64decode(slot[k], validate=True) for k in ("salt", "iv", "wrapped", "tag")
    )
    k = argon2id(passphrase, salt, slot["cost"])
    want = hmac.new(
        k[32:], b"freezer-key-1\0" + store_id + iv + wrapped + slot["id"].encode(), hashlib.sha256
    ).digest()
    return aes_256_cfb_decrypt(k[:32], iv, wrapped) if hmac.compare_digest(want, tag) else None


# ---------------------------------------------------------------- store: sections 1 and 2
class Store:
    def __init__(self, path, pass_file):
        self.path = path
        document = json.loads(self.read("freezer.json"))
        if document["format"] != "freezer store" or document["version"] != 1:
            raise Refused("%s is not a store of format 1" % path)
        self.id, self.encryption, self.authentication = bytes.fromhex(document["id"]), None, None
        if document["cipher"] == ENCRYPTED:
            master = self.master_key(pass_file)
            self.encryption = hkdf_sha256(master, self.id, b"freezer frame encryption 1")
            self.authentication = hkdf_sha256(master, self.id, b"freezer frame authentication 1")
        elif document["cipher"] != "none":
            raise Refused("the store's cipher is not known: " + document["cipher"])

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as f:
            return f.read()

    def master_key(self, pass_file):
        if pass_file:
            with open(pass_file, "rb") as f:
                passphrase = f.read().split(b"\n")[0]
            passphrase = passphrase[:-1] if passphrase.endswith(b"\r") else passphrase
        else:
            passphrase = os.fsencode(getpass.getpass("Passphrase: "))
        names = sorted(n for n in os.listdir(os.path.join(self.path, "keys")) if KEY.fullmatch(n))
        for name in names:
            master = unwrap(json.loads(self.read("keys/" + name)), self.id, passphrase)
            if master:
                return master
        raise Refused("wrong passphrase: it opens none of the %d keys" % len(names))

    def levels(self):
        """(HOST/NAME as stored, LEVEL) of every level, oldest first within a backup."""
        top = os.path.join(self.path, "manifests")
        for host in sorted(os.listdir(top)):
            for name in sorted(os.listdir(os.path.join(top, host))):
                for level in sorted(
                    filter(LEVEL.fullmatch, os.listdir(os.path.join(top, host, name)))
                ):
                    yield host + "/" + name, level

    # ------------------------------------------------------------ frames: section 4
    def open_frame(self, level, lane, header, payload, tag):
        """The payload of a sealed frame, decrypted but still compressed. Nothing comes out unless
        the tag holds."""
        bound = b"freezer-frame-1\0" + self.id + level.encode() + header + payload
        if self.authentication:
            want = hmac.new(self.authentication, bound, hashlib.sha256).digest()
        else:
            want = hashlib.sha256(bound).digest()
        if not hmac.compare_digest(want, tag):
            raise Refused("fails authentication")
        _, stored_lane, _, cipher, _, _, _, _, iv = HEADER.unpack(header)
        if stored_lane != lane or cipher != (1 if self.encryption else 0):
            raise Refused("is not of this kind")
        return aes_256_cfb_decrypt(self.encryption, iv, payload) if cipher else payload

    def manifest(self, backup, level):
        data = self.read("manifests/%s/%s" % (backup, level))
        header, payload, tag = (
            data[: HEADER.size],
            data[HEADER.size : -TAG_BYTES],
            data[-TAG_BYTES:],
        )
        if len(data) < HEADER.size + TAG_BYTES or header[:4] != b"FzF1":
            raise Refused("the manifest of %s/%s is not one" % (backup, level))
        try:
            payload = self.open_frame(level, MANIFEST, header, payload, tag)
        except Refused as e:
            raise Refused("the manifest of %s/%s %s" % (backup, level, e)) from None
        if header[5]:
            program = PROGRAMS[header[5]]
            payload = subprocess.run(
                [program, "-dc"], input=payload, stdout=subprocess.PIPE, check=True
            ).stdout
        manifest = json.loads(payload)
        if manifest["version"] != 1 or manifest["id"] != level:
            raise Refused(
                "the manifest of %s/%s is of a newer format or another level" % (backup, level)
            )
        return manifest


# ---------------------------------------------------------------- the tar stream: section 6
class Output:
    """Standard output behind the right decompressor. Frames end to end are one file to these
    programs."""

    def __init__(self):
        self.method, self.program, self.to = 0, None, sys.stdout.buffer

    def write(self, method, data):
        if method != self.method:
            self.finish()
            self.method = method
            if method:
                self.program = subprocess.Popen([PROGRAMS[method], "-dc"], stdin=subprocess.PIPE)
                self.to = self.program.stdin
        self.to.write(data)

    def finish(self):
        self.to.flush()
        if self.program:
            self.to.close()
            if self.program.wait():
                raise Refused("%s could not decompress the stream" % PROGRAMS[self.method])
        self.method, self.program, self.to = 0, None, sys.stdout.buffer


def bare_frames(store, folder, names, method, output):
    for name in names:
        with open(os.path.join(folder, name), "rb") as f:
            for data in iter(lambda: f.read(1 << 20), b""):
                output.write(method, data)


class Trouble:
    """Counts what could not be read; without --keep-going the first is the last."""

    def __init__(self, keep_going):
        self.keep_going, self.count = keep_going, 0

    def report(self, what):
        if not self.keep_going:
            raise Refused(what)
        self.count += 1
        say(what)


def sealed_frames(store, folder, names, level, output, trouble):
    """Writes the frames of all segments, each checked. Returns the bytes of tar stream."""
    number = total = 0
    for name in names:
        with open(os.path.join(folder, name), "rb") as f:
            while True:
                header = f.read(HEADER.size)
                if not header:
                    break
                what = "frame %d in segment %s" % (number, name)
                if len(header) < HEADER.size or header[:4] != b"FzF1":
                    trouble.report(
                        what + " has no header: what follows in this segment cannot be found"
                    )
                    break
                _, _, method, _, _, stored_number, raw_bytes, payload_bytes, _ = HEADER.unpack(
                    header
                )
                if raw_bytes > MAX_RAW_BYTES or payload_bytes > 2 * MAX_RAW_BYTES or method > 4:
                    trouble.report(
                        what
                        + " has a header that cannot be: "
                        "what follows in this segment cannot be found"
                    )
                    break
                payload, tag = f.read(payload_bytes), f.read(TAG_BYTES)
                try:
                    data = store.open_frame(level, STREAM, header, payload, tag)
                    if stored_number < number or stored_number > number and not trouble.count:
                        raise Refused(
                            "is number %d: frames are missing or in the wrong order" % stored_number
                        )
                    number = stored_number
                except Refused as e:
                    trouble.report(
                        "%s %s: filler takes its place" % (what, e)
                        if trouble.keep_going
                        else "%s %s" % (what, e)
                    )
                    method, data = 0, (FILLER * (raw_bytes // len(FILLER) + 1))[:raw_bytes]
                output.write(method, data)
                number, total = number + 1, total + raw_bytes
    return total


def write_level(store, backup, level, trouble):
    manifest = store.manifest(backup, level)
    own = manifest["levels"][0]
    folder = os.path.join(store.path, "data", backup, level, "segments")
    want = ["%08d" % n for n in range(own["segments"])]
    there = set(os.listdir(folder))
    for name in want:
        if name not in there:
            trouble.report("segment %s is missing" % name)
    names, output = [n for n in want if n in there], Output()
    if store.encryption:
        total = sealed_frames(store, folder, names, level, output, trouble)
        if total != own["stream_bytes"]:
            trouble.report(
                "the stream has %d bytes and should have %d" % (total, own["stream_bytes"])
            )
    else:
        bare_frames(store, folder, names, METHODS[own["compression"]], output)
    output.finish()


# ------------------------------------------------- a whole point in time: format/index.md
def decompress(method, data):
    if method == 4:
        return subprocess.run(
            [PROGRAMS[4], "-dc"], input=data, stdout=subprocess.PIPE, check=True
        ).stdout
    return {0: bytes, 1: lambda d: zlib.decompress(d, 31), 2: bz2.decompress, 3: lzma.decompress}[
        method
    ](data)


class Bytes:
    """Reads numbers and texts from the front of a block."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Refused("an index block ends too early")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def signed(self):
        return int.from_bytes(self.take(8), "big", signed=True)

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def difference(self, of):
        z = self.varint()
        return (of + (-(z + 1) // 2 if z & 1 else z // 2)) % (1 << 64)

    def sized(self):
        return self.take(self.varint())


class Point:
    """A point in time: its index, and the frames that its files lie in."""

    def __init__(self, store, backup, level):
        self.store, self.backup, self.manifest = store, backup, store.manifest(backup, level)
        self.levels = {parts["serial"]: parts for parts in self.manifest["levels"]}
        self.tables, self.last = {}, (None, b"")

    def object(self, level, folder, number, offset, length):
        name = "%08d" % number if number < 10**8 else "A%010d" % number
        with open(
            os.path.join(self.store.path, "data", self.backup, level, folder, name), "rb"
        ) as f:
            f.seek(offset)
            data = f.read(length)
        if len(data) < length:
            raise Refused("%s/%s/%s is too short" % (level, folder, name))
        return data

    def sealed(self, level, lane, data):
        header, payload, tag = (
            data[: HEADER.size],
            data[HEADER.size : -TAG_BYTES],
            data[-TAG_BYTES:],
        )
        if len(data) < HEADER.size + TAG_BYTES or header[:4] != b"FzF1":
            raise Refused("a frame of level %s is not one" % level)
        raw = decompress(header[5], self.store.open_frame(level, lane, header, payload, tag))
        if len(raw) != HEADER.unpack(header)[6]:
            raise Refused("a frame of level %s has another length than it says" % level)
        return raw

    def entries(self, level, lane, folder, node):
        """Keys and values of a run in order."""
        block = Bytes(node)
        if block.number(1) != 1:
            raise Refused("a block is of a newer format")
        height, count, key = block.number(1), block.varint(), b""
        for _ in range(count):
            shared, rest, length = block.varint(), block.varint(), block.varint()
            key = key[:shared] + block.take(rest)
            value = block.take(length)
            if height == 0:
                yield key, value
            else:
                child = Bytes(value)
                _, number, offset, stored = (child.varint() for _ in range(4))
                yield from self.entries(
                    level,
                    lane,
                    folder,
                    self.sealed(level, lane, self.object(level, folder, number, offset, stored)),
                )

    def tree(self):
        """All entries by their directory's key: lists of name and value. Of each key the newest run
        that has it decides."""
        decided, gone_below, runs = {}, set(), self.manifest["index"]
        for run in runs if isinstance(runs, list) else [runs]:
            level, node = self.levels[run["serial"]]["id"], base64.b64decode(run["root"]["node"])
            gone_here = set()
            for key, value in self.entries(level, INDEX, "index", node):
                if key.endswith(b"\0"):
                    gone_here.add(key)  # all that older runs have below it
                elif key not in decided and not any(
                    key[: end + 1] in gone_below for end, byte in enumerate(key) if byte == 0
                ):
                    decided[key] = value
            gone_below |= gone_here
        tree = {}
        for key in sorted(decided):
            if decided[key] != b"\x01\x06":
                place, _, name = key.rpartition(b"\0")
                tree.setdefault(place + b"\0" if key else None, []).append((name, decided[key]))
        return tree

    def stream(self, serial, offset, length):
        """Bytes of the tar stream of a level, from the frames they lie in."""
        parts = self.levels[serial]
        if serial not in self.tables:
            node = base64.b64decode(self.frame_table(parts)["node"])
            rows = list(self.entries(parts["id"], FRAMES, "frames", node))
            self.tables[serial] = [int.from_bytes(key, "big") for key, _ in rows], [
                value for _, value in rows
            ]
        starts, rows = self.tables[serial]
        while length:
            at = bisect.bisect_right(starts, offset) - 1
            if at < 0:
                raise Refused("an extent lies outside the stream of level %s" % parts["id"])
            if self.last[0] != (serial, at):
                self.last = (serial, at), self.frame(parts, rows[at])
            piece = self.last[1][offset - starts[at] :][:length]
            if not piece:
                raise Refused("an extent lies outside the stream of level %s" % parts["id"])
            yield piece
            offset, length = offset + len(piece), length - len(piece)

    def frame_table(self, parts):
        """The root of a level's frame table: of the newest, if the level was repacked."""
        level = parts["id"]
        folder = os.path.join(self.store.path, "data", self.backup, level, "repacked")
        names = (
            sorted(filter(NUMBER.fullmatch, os.listdir(folder))) if os.path.isdir(folder) else []
        )
        if not names:
            return parts["frame_table"]
        with open(os.path.join(folder, names[-1]), "rb") as f:
            document = json.loads(self.sealed(level, REPACKED, f.read()))
        if (
            document["version"] != 1
            or document["level"] != level
            or document["number"] != int(names[-1].lstrip("A"))
        ):
            raise Refused(
                "%s/repacked/%s is of a newer format or of another level" % (level, names[-1])
            )
        return document["frame_table"]

    def frame(self, parts, row):
        row = Bytes(row)
        row.number(1)
        number, raw_bytes, segment, offset, stored = (row.varint() for _ in range(5))
        data = self.object(parts["id"], "segments", segment, offset, stored)
        if self.store.encryption:
            return self.sealed(parts["id"], STREAM, data)
        method = METHODS[parts["compression"]]
        header = HEADER.pack(b"FzF1", STREAM, method, 0, 0, number, raw_bytes, len(data), bytes(16))
        want = hashlib.sha256(
            b"freezer-frame-1\0" + self.store.id + parts["id"].encode() + header + data
        ).digest()
        if want[:16] != row.take(16):
            raise Refused("frame %d of level %s fails its checksum" % (number, parts["id"]))
        return decompress(method, data)


def read_entry(value):
    """The fields of an entry that a tar member has, and where its content is: runs of (place in the
    file, level, place in the stream, length)."""
    e, b = {}, Bytes(value)
    if b.number(1) != 1:
        raise Refused("an entry is of a newer format")
    kind, flags = b.number(1), b.number(1)
    if kind > 5 or flags > 63:
        raise Refused("an entry is of a newer format")
    e["kind"], e["mode"], e["uid"], e["gid"] = kind, b.varint(), b.varint(), b.varint()
    e["user"], e["group"], device, e["links"] = b.sized(), b.sized(), b.varint(), b.varint()
    whole_level = b.varint() if flags & 2 else None
    seconds = b.signed()
    if flags & 1:
        b.signed()
    inode = b.number(8)
    whole_at = b.number(8) if flags & 2 else None
    e["mtime"] = seconds, b.number(4)
    if flags & 1:
        b.number(4)
    e["size"] = size = b.varint() if kind == 0 else 0
    e["target"] = b.sized() if kind == 2 else b""
    e["numbers"] = (b.varint(), b.varint()) if kind in (3, 4) else (0, 0)
    b.varint()  # space allocated
    if flags & 8:
        b.varint()
    e["xattrs"] = [(b.sized(), b.sized()) for _ in range(b.varint())] if flags & 16 else []
    e["runs"], at, level, place = [], 0, 0, 0
    if flags & 2:
        e["runs"].append((0, whole_level, whole_at, size))
    elif flags & 4:
        for _ in range(b.varint()):
            at += b.varint()
            level, place = b.difference(level), b.difference(place)
            length = b.varint()
            e["runs"].append((at, level, place, length))
            at, place = at + length, place + length
    e["same"] = (device, inode, kind, size, e["mtime"]) if e["links"] > 1 and inode else None
    return e


def acl_text(value):
    """A POSIX ACL as the kernel has it, as tar writes it."""
    names = {1: "user:", 2: "user:%d", 4: "group:", 8: "group:%d", 16: "mask:", 32: "other:"}
    entries = [struct.unpack_from("<HHI", value, at) for at in range(4, len(value), 8)]
    right = lambda bits: "".join(
        letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))
    )
    return ",".join(
        "%s:%s" % (names[tag] % number if "%" in names[tag] else names[tag], right(bits))
        for tag, bits, number in entries
    )


class Content(io.RawIOBase):
    """The content of a file as tarfile reads it: its runs, and zeros for its holes."""

    def __init__(self, point, entry):
        self.pieces, self.rest = self.all(point, entry), b""

    def all(self, point, entry):
        at = 0
        for place, level, offset, length in entry["runs"]:
            yield from self.zeros(place - at)
            yield from point.stream(level, offset, length)
            at = place + length
        yield from self.zeros(entry["size"] - at)

    def zeros(self, count):
        while count > 0:
            yield bytes(min(count, 1 << 20))
            count -= 1 << 20

    def readable(self):
        return True

    def readinto(self, buffer):
        self.rest = self.rest or next(self.pieces, b"")
        now = self.rest[: len(buffer)]
        buffer[: len(now)], self.rest = now, self.rest[len(now) :]
        return len(now)


TYPES = [
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
]


def write_tree(store, backup, level, trouble):
    point = Point(store, backup, level)
    tree, first_names = point.tree(), {}
    out = tarfile.open(
        fileobj=sys.stdout.buffer,
        mode="w|",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    )

    def member(path, value):
        e = read_entry(value)
        # Nobody has the number 2^32 - 1, and tar takes it for "leave it as it is": whoever extracts
        # the member would be its owner, and it would act as that owner.
        if e["uid"] == NOBODY or e["gid"] == NOBODY:
            say("%s has no owner that can be given: without setuid and setgid" % os.fsdecode(path))
            e["mode"] &= ~0o6000
        info = tarfile.TarInfo(os.fsdecode(b"./" + path))
        info.type, info.mode, info.uid, info.gid, info.size = (
            TYPES[e["kind"]],
            e["mode"],
            e["uid"],
            e["gid"],
            e["size"],
        )
        info.uname, info.gname, info.linkname = (
            os.fsdecode(e["user"]),
            os.fsdecode(e["group"]),
            os.fsdecode(e["target"]),
        )
        info.devmajor, info.devminor = e["numbers"]
        seconds, nanoseconds = e["mtime"]
        info.mtime = seconds
        if nanoseconds:
            sign, whole, rest = (
                ("-", -seconds - 1, 10**9 - nanoseconds)
                if seconds < 0
                else ("", seconds, nanoseconds)
            )
            info.pax_headers["mtime"] = "%s%d.%09d" % (sign, whole, rest)
        for name, attribute in e["xattrs"]:
            if name in (b"system.posix_acl_access", b"system.posix_acl_default"):
                info.pax_headers["SCHILY.acl." + name.decode().rpartition("_")[2]] = acl_text(
                    attribute
                )
            else:
                key = os.fsdecode(name).replace("%", "%25").replace("=", "%3D")
                info.pax_headers["SCHILY.xattr." + key] = attribute.decode(
                    "utf-8", "surrogateescape"
                )
        first = (
            first_names.setdefault(e["same"], info.name)
            if e["same"] and e["kind"] != 1
            else info.name
        )
        if first != info.name:
            info.type, info.size, info.linkname = tarfile.LNKTYPE, 0, first
            info.pax_headers = {
                key: value for key, value in info.pax_headers.items() if key == "mtime"
            }
        try:
            out.addfile(
                info,
                (
                    io.BufferedReader(Content(point, e), 1 << 20)
                    if info.type == tarfile.REGTYPE
                    else None
                ),
            )
        except (Refused, OSError) as error:
            # Its header has promised bytes that are not there: what was written is no archive any
            # more.
            raise Refused(
                "%s: %s; what was written so far is no whole archive" % (info.name, error)
            ) from None

    def directory(path, value):
        member(path + b"/" if path else b"", value)
        below = [
            (name, entry)
            for name, entry in tree.pop(
                b"".join(part + b"\0" for part in path.split(b"/") if part) + b"\0", []
            )
        ]
        inside = lambda name: path + b"/" + name if path else name
        for name, entry in below:
            if entry[1] != 1:
                member(inside(name), entry)
        return [(inside(name), entry) for name, entry in reversed(below) if entry[1] == 1]

    waiting = [(b"", tree.pop(None)[0][1])]
    while waiting:
        waiting.extend(directory(*waiting.pop()))
    out.close()


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("store", metavar="STORE", help="the folder that holds freezer.json")
    ap.add_argument("level", metavar="HOST/NAME[/LEVEL]", nargs="?")
    ap.add_argument(
        "--pass-file",
        metavar="FILE",
        help="the passphrase is its first line; without this option it is asked for",
    )
    ap.add_argument(
        "--keep-going",
        action="store_true",
        help="put filler in place of frames that are damaged, name them, exit with 3",
    )
    ap.add_argument(
        "--tree",
        action="store_true",
        help="all of a point in time, from every level that holds a part of it. "
        "Memory grows with its files",
    )
    args = ap.parse_args()
    try:
        store = Store(args.store, args.pass_file)
        levels = list(store.levels())
        if not args.level:
            for backup, level in levels:
                m = store.manifest(backup, level)
                print(
                    "%s/%s\tlevel %d\t%s\t%d entries"
                    % (
                        urllib.parse.unquote(backup),
                        level,
                        m["level"],
                        m["started"],
                        m["counts"]["entries"],
                    )
                )
            return 0
        chosen = [
            (b, l)
            for b, l in levels
            if args.level
            in (b, b + "/" + l, urllib.parse.unquote(b), urllib.parse.unquote(b) + "/" + l)
        ]
        if not chosen:
            raise Refused(
                "there is no level %s; without it this program lists what there is" % args.level
            )
        if sys.stdout.isatty():
            raise Refused(
                "a tar stream is nothing for a terminal: redirect it into a file or into tar"
            )
        trouble = Trouble(args.keep_going)
        (write_tree if args.tree else write_level)(store, *chosen[-1], trouble)
        return 3 if trouble.count else 0
    except (Refused, OSError, subprocess.CalledProcessError) as e:
        say(e)
        return 1
    except (KeyError, TypeError, ValueError) as e:
        say("a document of the store is not in the format:", repr(e))
        return 1


if __name__ == "__main__":
    sys.exit(main())
