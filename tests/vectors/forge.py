"""Writes stores by hand, byte by byte, from docs/format.md: sound ones, and ones that no writer
would make. Shares no code with Freezer, with the rescue script or with the decoder."""

import base64
import hashlib
import hmac
import io
import json
import struct
import tarfile

STORE = bytes(range(16))
LEVEL = "20261122T223450.123Z-1a2b3c4d"
LATER = "20261123T223450.123Z-5e6f7a8b"
HOST, NAME = "host", "tree"
PASSPHRASE = "correct horse"
# The key document of docs/format.md, section 3, in version 1, and the master keys of two epochs.
KEY = {
    "version": 1,
    "store": STORE.hex(),
    "id": "5fdc4675",
    "created": "2026-11-22T22:34:50Z",
    "comment": "example",
    "kdf": "argon2id",
    "cost": {"memory_kib": 64, "passes": 1, "lanes": 1},
    "salt": "VuT6c3Y60QCIPU6aEwfFxQ==",
    "iv": "ph2M3HIZsfixX4EdOF+Z8A==",
    "wrapped": "oz+pt2dKLj8KZtFg23AKrtKyN7oOk4NK7XfwOFxsXDM=",
    "tag": "zl0dHf1bBjeSUBfu342nAmftuIDl9zfNZxHUFQfjaYg=",
}
# Argon2id of the passphrase, with the salt and cost above.
DERIVED = bytes.fromhex(
    "1039b81e149421c42ba87ef2ff1268a750fb4b6d3f7296214b6e2f33b767cee9"
    "422146d0b4757eefb11f9b3db0acfdbeb54c781a2464bb57470dab6b82d1367e"
)
MASTERS = [
    bytes.fromhex("05c18cf20c8c766ce00a8d14a5d0873c277c48c1b5992fcbfc01649ea8b215dc"),
    bytes.fromhex("b387c10fb674830d42573b2828f3007861eb526c95a5498238060bc44a9cc243"),
]
STREAM, INDEX, TABLE, MANIFEST, CHECKPOINT, REPACKED = range(6)
METHODS = ["none", "gzip", "bzip2", "xz", "zstd"]
FILE, DIRECTORY, SYMLINK, CHARACTER, BLOCK, PIPE = range(6)
MTIME = 1_700_000_000


# ---------------------------------------------------------------- numbers
def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def long_varint(value):
    """A number below 128 in one byte more than it needs."""
    return bytes([value | 128, 0])


def difference(value, before):
    gap = (value - before) % (1 << 64)
    return varint(2 * gap if gap < 1 << 63 else 2 * ((1 << 64) - gap) - 1)


def sized(data):
    return varint(len(data)) + data


def text(data):
    return base64.b64encode(data).decode()


# ---------------------------------------------------------------- compression
def zstd(data):
    """One zstd frame that says its length. Runs of one byte become one block; the rest is copied.
    It needs no library, so it is the same everywhere."""
    out = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data))
    pieces, at = [], 0
    while at < len(data):
        end = at
        while end < len(data) and data[end] == data[at]:
            end += 1
        if end - at >= 12:
            pieces.append((1, data[at:end]))
        elif pieces and pieces[-1][0] == 0:
            pieces[-1] = (0, pieces[-1][1] + data[at:end])
        else:
            pieces.append((0, data[at:end]))
        at = end
    pieces = pieces or [(0, b"")]
    for number, (kind, piece) in enumerate(pieces):
        last = number + 1 == len(pieces)
        out += struct.pack("<I", last | kind << 1 | len(piece) << 3)[:3]
        out += piece[:1] if kind else piece
    return out


def zstd_bomb(length):
    """A zstd frame of zeros that does not say its length."""
    count = length >> 17
    out = b"\x28\xb5\x2f\xfd\x00\x58"
    for number in range(count):
        out += struct.pack("<I", (number + 1 == count) | 1 << 1 | (1 << 17) << 3)[:3] + b"\0"
    return out


def compressed(method, data):
    if method == 0:
        return data
    if method == 4:
        return zstd(data)
    if method == 1:
        import zlib

        packer = zlib.compressobj(0, zlib.DEFLATED, 31)
        return packer.compress(data) + packer.flush()
    if method == 2:
        import bz2

        return bz2.compress(data, 1)
    import lzma

    return lzma.compress(data, preset=0)


# ---------------------------------------------------------------- sorted runs
def node(pairs, height=0):
    out, before = bytes([1, height]) + varint(len(pairs)), b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % 16:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        before = key
    return out


def root(raw, entries, height=0):
    return {"node": text(raw), "height": height, "entries": entries}


def leaf(pairs):
    return root(node(pairs), len(pairs))


def child(number, where, offset, length, rank):
    return b"".join(map(varint, (number, where, offset, length, rank)))


def key_of(path):
    if not path:
        return b""
    *above, name = path.split(b"/")
    return b"".join(part + b"\0" for part in above) + b"\0" + name


# ---------------------------------------------------------------- entries
def entry(kind, mode=0o644, size=0, extents=(), target=b"", first=None, xattrs=(), **other):
    """The value of an entry. Extents: (place in the file, level, place in the stream, length)."""
    get = other.get
    whole = len(extents) == 1 and extents[0][0] == 0 and extents[0][3] == size
    whole = get("whole", whole and not get("spread"))
    flags = (2 if whole else 4) if extents or get("whole") else 0
    flags |= (
        (8 if first is not None else 0) | (16 if xattrs else 0) | (1 if "ctime" in other else 0)
    )
    area = get("area", b"".join(varint(of) + sized(data) for of, data in get("extensions", ())))
    flags |= get("flags", 0) | (64 if "area" in other or area else 0)
    out = bytes([get("version", 1), kind, flags]) + get("mode_bytes", varint(mode))
    out += varint(get("uid", 0)) + varint(get("gid", 0))
    out += sized(get("user", b"")) + sized(get("group", b"")) + varint(1) + varint(get("links", 1))
    out += varint(extents[0][1]) if whole else b""
    out += struct.pack(">q", get("mtime", MTIME))
    out += struct.pack(">q", other["ctime"]) if "ctime" in other else b""
    out += struct.pack(">Q", get("inode", 7))
    out += struct.pack(">Q", extents[0][2]) if whole else b""
    out += struct.pack(">I", get("nanoseconds", 0))
    out += struct.pack(">I", 0) if "ctime" in other else b""
    usual = 0
    if kind == FILE:
        out, usual = out + varint(size), 8 * -(-size // 4096)
    elif kind == SYMLINK:
        out += sized(target)
    elif kind in (CHARACTER, BLOCK):
        out += varint(1) + varint(3)
    out += difference(usual % (1 << 64), usual % (1 << 64))
    out += varint(first) if first is not None else b""
    out += sized(area) if flags & 64 else b""
    if xattrs:
        out += varint(len(xattrs)) + b"".join(sized(a) + sized(b) for a, b in xattrs)
    if extents and not whole:
        out += varint(len(extents)) + extent_list(extents)
    return out + get("more", b"")


def extent_list(extents):
    out, at, level, place = b"", 0, 0, 0
    for where, of, begin, length in extents:
        out += varint((where - at) % (1 << 64)) + difference(of, level) + difference(begin, place)
        out += varint(length)
        at, level, place = where + length, of, begin + length
    return out


# ---------------------------------------------------------------- one level
class Frame:
    def __init__(self, number, raw, method):
        self.number, self.raw, self.method = number, raw, method
        self.payload, self.length = compressed(method, raw), len(raw)
        self.lane, self.level, self.flag, self.magic = STREAM, None, None, None


class Level:
    """A level on its way into objects. A case changes a part before the next step uses it."""

    def __init__(
        self, encrypted=False, method=4, of=LEVEL, serial=1, tree=None, version=1, epochs=1
    ):
        self.encrypted, self.method, self.id, self.serial = encrypted, method, of, serial
        self.version, self.epochs = version, epochs
        # of new frames
        self.epoch = epochs if encrypted and version == 2 else 0
        self.hides = encrypted and version == 2
        self.objects, self.ivs, self.finished = {}, 0, False
        self.identity = {
            "format": "freezer store",
            "version": version,
            "id": STORE.hex(),
            "cipher": "aes-256-cfb+hmac-sha256" if encrypted else "none",
            "created": "2026-11-22T22:34:50Z",
        }
        if version == 2:
            features = ["hidden-names"] if self.hides else []
            self.identity.update(requires=features, allows=[], epoch=1 if encrypted else 0)
        self.files = tree or {b"a": b"the first file\n", b"b": b"the second file\n", b"d/c": b"c\n"}
        self.stream, self.places = self.tar()
        self.pairs = self.entries()
        self.frames = [
            Frame(number, self.stream[at : at + 1024], method)
            for number, at in enumerate(range(0, len(self.stream), 1024))
        ]
        self.rows = self.manifest = None

    def tar(self):
        """The tar stream, and where each file's content begins in it."""
        out, places = io.BytesIO(), {}
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.offset, seen = 0, {b""}
            self.member(tar, b"./", None)
            for path, content in sorted(self.files.items()):
                above = path.rpartition(b"/")[0]
                if above not in seen:
                    seen.add(above)
                    self.member(tar, b"./" + above + b"/", None)
                self.member(tar, b"./" + path, content)
                places[path] = out.tell() - -(-len(content) // 512) * 512
            end = out.tell()
        return out.getvalue()[:end] + bytes(1024), places

    @staticmethod
    def member(tar, name, content):
        info = tarfile.TarInfo(name.decode())
        info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
        info.mode, info.mtime = (0o755 if content is None else 0o644), MTIME
        info.size = len(content or b"")
        tar.addfile(info, io.BytesIO(content or b""))

    def file(self, path, **other):
        """The entry of a file of the stream."""
        content = self.files[path]
        extents = [(0, self.serial, self.places[path], len(content))]
        return entry(FILE, size=len(content), extents=extents, **other)

    def entries(self):
        pairs = [(b"", entry(DIRECTORY, 0o755, links=2))]
        for path in {path.rpartition(b"/")[0] for path in self.files} - {b""}:
            pairs.append((key_of(path), entry(DIRECTORY, 0o755, links=2)))
        pairs += [(key_of(path), self.file(path)) for path in self.files]
        return sorted(pairs)

    def put(self, path, value):
        """Adds or replaces an entry; `path` may be a key."""
        key = path if isinstance(path, tuple) else (key_of(path),)
        self.pairs = sorted([p for p in self.pairs if p[0] != key[0]] + [(key[0], value)])

    # ------------------------------------------------------------ frames
    def seal(self, lane, number, raw, method=0, **other):
        """A sealed frame. Everything in it can be told otherwise."""
        payload = other.get("payload", compressed(method, raw))
        cipher, iv = other.get("cipher", 1 if self.encrypted else 0), bytes(16)
        magic, epoch = other.get("magic"), other.get("flag")
        magic = magic or (b"FzF1" if self.version == 1 else b"FzF2")
        epoch = self.epoch if epoch is None else epoch
        of = epoch if 1 <= epoch <= len(MASTERS) else 1
        if cipher:
            self.ivs += 1
            iv = hashlib.sha256(b"%s %d" % (self.id.encode(), self.ivs)).digest()[:16]
            payload = aes(key("freezer frame encryption 1", of), iv, payload)
        header = struct.pack(
            "<4sBBBBQII16s",
            magic,
            lane,
            method,
            cipher,
            epoch,
            number,
            other.get("length", len(raw)),
            len(payload),
            iv,
        )
        level = other.get("level") or self.id
        return header + payload + self.tag(level, header + payload, of)

    def tag(self, level, data, epoch=1):
        context = b"freezer-frame-2\0" if data[:4] == b"FzF2" else b"freezer-frame-1\0"
        data = context + STORE + level.encode() + data
        if self.encrypted:
            secret = key("freezer frame authentication 1", epoch)
            return hmac.new(secret, data, "sha256").digest()
        return hashlib.sha256(data).digest()

    def stored(self, frame):
        """A frame of the stream as it lies in a segment, and its checksum."""
        if self.encrypted:
            other = ("payload", "length", "level", "flag", "magic")
            other = {name: getattr(frame, name) for name in other}
            return self.seal(frame.lane, frame.number, frame.raw, frame.method, **other), b""
        header = struct.pack(
            "<4sBBBBQII16s",
            b"FzF1",
            frame.lane,
            frame.method,
            0,
            0,
            frame.number,
            frame.length % (1 << 32),
            len(frame.payload),
            bytes(16),
        )
        return frame.payload, self.tag(frame.level or self.id, header + frame.payload)[:16]

    # ------------------------------------------------------------ the steps
    def name(self, folder, number=0):
        return "data/%s/%s/%s/%08d" % (self.place(), self.id, folder, number)

    def place(self):
        """What stands for host and name in names of objects."""
        if not self.hides:
            return HOST + "/" + NAME
        hide = lambda t: "%~" + hmac.new(key("freezer names 2"), t, "sha256").hexdigest()[:32]
        host, name = HOST.encode(), NAME.encode()
        return hide(b"host\0" + host) + "/" + hide(b"name\0" + host + b"/" + name)

    def lay_out(self):
        """Puts the frames into one segment and makes the rows of the table."""
        self.rows, segment, begin = [], b"", 0
        for number, frame in enumerate(self.frames):
            data, checksum = self.stored(frame)
            self.rows.append(
                {
                    "begin": begin,
                    "number": number,
                    "raw": len(frame.raw),
                    "segment": 0,
                    "offset": len(segment),
                    "stored": len(data),
                    "checksum": checksum,
                }
            )
            segment, begin = segment + data, begin + len(frame.raw)
        self.objects[self.name("segments")] = segment

    def table(self):
        fields = ("number", "raw", "segment", "offset", "stored")
        return leaf(
            [
                (
                    row.get("key", struct.pack(">Q", row["begin"])),
                    bytes([row.get("version", 1)])
                    + b"".join(varint(row[field]) for field in fields)
                    + b"".join(map(varint, row.get("stretch", ())))
                    + row["checksum"]
                    + row.get("more", b""),
                )
                for row in self.rows
            ]
        )

    def describe(self):
        """Makes the manifest, of the parts as they are."""
        if self.rows is None:
            self.lay_out()
        started = "%s-%s-%sT%s:%s:%sZ" % (
            self.id[:4],
            self.id[4:6],
            self.id[6:8],
            self.id[9:11],
            self.id[11:13],
            self.id[13:19],
        )
        counts = ("files", "directories", "new", "changed", "unchanged")
        counts = dict.fromkeys(counts + ("removed", "failed", "skipped"), 0)
        self.manifest = {
            "version": self.version,
            "store": STORE.hex(),
            "host": HOST,
            "name": NAME,
            "id": self.id,
            "serial": self.serial,
            "level": 0,
            "parent": None,
            "chain": started,
            "started": started,
            "ended": started,
            "zone": "UTC",
            "sources": ["/source"],
            "counts": {"entries": len(self.pairs), **counts},
            "bytes": {"logical": 0, "stream": len(self.stream), "stored": 0},
            "engine": "tar",
            "tool": "tests/vectors",
            "has_xattrs": False,
            "index": [self.run(leaf(self.pairs))],
            "levels": [
                {
                    "serial": self.serial,
                    "id": self.id,
                    "compression": METHODS[self.method],
                    "compression_level": 1,
                    "stream_bytes": len(self.stream),
                    "segments": 1,
                    "frame_table": self.table(),
                    "frame_table_segments": 0,
                }
            ],
        }

        if self.version == 2:
            self.manifest["next_serial"] = self.serial + 1

    def run(self, of, segments=0, subtrees=0):
        return {
            "serial": self.serial,
            "root": of,
            "segments": segments,
            "subtrees": subtrees,
            "head": [],
        }

    def blocks(self, raws):
        """Stores blocks of the index and returns the values of their parents' entries, without the
        rank."""
        data, places = b"", []
        for number, raw in enumerate(raws):
            block = self.seal(INDEX, number, raw)
            places.append((number, 0, len(data), len(block)))
            data += block
        self.objects[self.name("index")] = data
        return places

    def publish(self, **other):
        if self.manifest is None:
            self.describe()
        raw = json.dumps(self.manifest, separators=(",", ":")).encode()
        lane, number = other.pop("lane", MANIFEST), other.pop("number", 0)
        self.objects[self.manifest_name()] = self.seal(lane, number, raw, 4, **other)
        return self

    def manifest_name(self):
        return "manifests/%s/%s" % (self.place(), self.id)

    def vouch(self):
        """Gives the identity of version 2 its tag."""
        says = self.identity
        lines = [says["cipher"], says["created"], *says["requires"], "", *says["allows"]]
        data = b"freezer-store-2\0" + STORE + bytes([says["epoch"]])
        data += "".join(line + "\n" for line in lines).encode()
        if says["epoch"]:
            secret = key("freezer frame authentication 1", says["epoch"])
            says["tag"] = text(hmac.new(secret, data, "sha256").digest())
        else:
            says["tag"] = text(hashlib.sha256(data).digest())

    def finish(self):
        if not any(name.startswith("manifests/") for name in self.objects):
            self.publish()
        if self.identity["version"] == 2 and "tag" not in self.identity:
            self.vouch()
        self.objects.setdefault("freezer.json", document(self.identity))
        if self.identity["version"] == 2:
            self.objects.setdefault("freezer-copy.json", document(self.identity))
        if self.encrypted:
            slot = KEY if self.version == 1 else slot_of(self.epochs)
            self.objects.setdefault("keys/5fdc4675.json", document(slot))
        return self.objects


def document(value):
    return json.dumps(value, indent=1).encode()


# ---------------------------------------------------------------- keys
def key(info, epoch=1):
    """HKDF-SHA-256 with one block of output."""
    extracted = hmac.new(STORE, MASTERS[epoch - 1], "sha256").digest()
    return hmac.new(extracted, info.encode() + b"\x01", "sha256").digest()


def slot_of(epochs, **fields):
    """The key document of version 2 that wraps the keys of so many epochs."""
    iv = base64.b64decode(KEY["iv"])
    wrapped = aes(DERIVED[:32], iv, b"".join(MASTERS[:epochs]))
    data = b"freezer-key-2\0" + STORE + bytes([epochs]) + iv + wrapped + KEY["id"].encode()
    tag = hmac.new(DERIVED[32:], data, "sha256").digest()
    slot = dict(KEY, version=2, epoch=epochs, wrapped=text(wrapped), tag=text(tag))
    return dict(slot, **fields)


def aes(secret, iv, data):
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    try:
        from cryptography.hazmat.decrepit.ciphers.modes import CFB
    except ImportError:
        from cryptography.hazmat.primitives.ciphers.modes import CFB
    encryptor = Cipher(algorithms.AES(secret), CFB(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()
