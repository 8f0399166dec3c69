"""The vectors of version 2: extensions of entries, names of one file, stretches of frames."""

import struct

from blake import blake3
from cases import damaged, later, repacked, sound
from forge import (
    DIRECTORY,
    FILE,
    SYMLINK,
    Frame,
    difference,
    entry,
    key,
    key_of,
    varint,
)


def hash_of(level, data, table=b""):
    secret = key("freezer content hash 2") if level.encrypted else None
    return blake3(data + table, secret)[:20]


def file(level, path, extensions=(), **other):
    """The entry of a file in version 2, with the hash of its content and further extensions."""
    digest = other.pop("digest", hash_of(level, level.files[path]))
    extensions = sorted([(2, digest), *extensions])
    return level.file(path, version=2, extensions=extensions, **other)


def all_of_version_2(level):
    level.put(b"", entry(DIRECTORY, 0o755, links=2, version=2))
    level.put(b"d", entry(DIRECTORY, 0o755, links=2, version=2))
    for path in level.files:
        level.put(path, file(level, path))


for encrypted in (False, True):
    kind = "encrypted" if encrypted else "plain"

    @sound(
        "-",
        "hashes-" + kind,
        "entries of version 2 with hashes of contents, " + kind,
        encrypted=encrypted,
        version=2,
    )
    def _(level):
        all_of_version_2(level)

    @damaged(
        "T9",
        "other-hash-" + kind,
        "the hash of a file is that of another content",
        ["b"],
        encrypted=encrypted,
        version=2,
    )
    def _(level):
        all_of_version_2(level)
        level.put(b"b", file(level, b"b", digest=hash_of(level, b"other")))


@damaged(
    "T9",
    "hash-without-a-key",
    "in an encrypted store the hash is not keyed",
    ["b"],
    encrypted=True,
    version=2,
)
def _(level):
    all_of_version_2(level)
    level.put(b"b", file(level, b"b", digest=blake3(level.files[b"b"])[:20]))


@sound(
    "-",
    "hash-with-holes",
    "a file with holes has a hash of what is outside of them, and where",
    version=2,
    also={"holes": bytes(600) + b"the " + bytes(20) + b"first" + bytes(71)},
)
def _(level):
    all_of_version_2(level)
    at = level.places[b"a"]
    extents = [(600, 1, at, 4), (624, 1, at + 4, 5)]
    table = struct.pack(">QQQQ", 600, 4, 624, 5)
    more = [(2, hash_of(level, b"the first", table))]
    level.put(b"holes", entry(FILE, size=700, extents=extents, version=2, extensions=more))


@sound(
    "-",
    "hash-of-touching-extents",
    "two extents that touch are one run in the hash",
    version=2,
    also={"two": b"the file"},
)
def _(level):
    all_of_version_2(level)
    at = level.places[b"a"]
    extents = [(0, 1, at, 4), (4, 1, at + 10, 4)]
    more = [(2, hash_of(level, b"the file"))]
    level.put(b"two", entry(FILE, size=8, extents=extents, version=2, extensions=more))


@sound(
    "-",
    "more-extensions",
    "inode flags, a birth time, and extensions that are passed over",
    version=2,
)
def _(level):
    all_of_version_2(level)
    birth = difference(1_699_999_999, 1_700_000_000) + difference(3, 0)
    more = [(6, varint(0x40)), (8, birth), (10, b"x"), (1000, b"")]
    level.put(b"b", file(level, b"b", more))


def extension(rule, name, about, lost=("b",), **how):
    @damaged(rule, name, about, list(lost), version=2)
    def _(level):
        all_of_version_2(level)
        level.put(b"b", file(level, b"b", **how))


extension(
    "T10", "critical-extension", "an extension that must be known is not", extensions=[(11, b"x")]
)
extension(
    "T10",
    "extensions-out-of-order",
    "the extensions are not sorted",
    area=b"\x08\x02\0\0" + b"\x06\x01\x40",
)
extension(
    "T10", "extension-twice", "an extension stands twice", area=b"\x06\x01\x40" + b"\x06\x01\x40"
)
extension("T10", "no-extensions", "the area of the extensions is empty", area=b"")
extension("T10", "extension-cut-off", "an extension ends behind their area", area=b"\x06\x05\x40")
extension("T10", "short-hash", "a hash has 19 bytes", digest=bytes(19))
extension("T10", "no-inode-flags", "the inode flags are 0", extensions=[(6, b"\0")])
extension("T10", "long-inode-flags", "bytes follow the inode flags", extensions=[(6, b"\x40\0")])


@damaged("T10", "extensions-in-version-1", "an entry of version 1 has extensions", ["b"])
def _(level):
    level.put(b"b", level.file(b"b", extensions=[(6, varint(0x40))]))


@damaged("T10", "hash-of-a-link", "a symbolic link has a hash of its content", ["b"], version=2)
def _(level):
    more = [(2, bytes(20))]
    level.put(b"b", entry(SYMLINK, 0o777, target=b"a", version=2, extensions=more))


# ---------------------------------------------------------------- names of one file
def second_names(first, record, change=None, extensions=(), **other):
    """A later level in which `a` is gone, and two new names stand for it."""
    all_of_version_2(first)
    second = later(first, marks=False, change=change)
    rank = [k for k, _ in first.pairs].index(key_of(b"a"))
    run, rank = record or (0, rank)
    more = sorted([(4, varint(run) + varint(rank)), *extensions])
    of_a = (0, 1, first.places[b"a"], len(first.files[b"a"]))
    for name in (b"one", b"two"):
        value = entry(
            FILE, size=of_a[3], extents=[of_a], links=2, version=2, extensions=more, **other
        )
        second.put(name, value)
    second.put(b"a", b"\2\6")
    second.objects.pop(second.manifest_name())
    old = second.manifest
    second.describe()
    for field in ("level", "chain", "parent"):
        second.manifest[field] = old[field]
    second.manifest["index"] += old["index"][1:]
    second.manifest["levels"] += old["levels"][1:]
    second.manifest["counts"]["entries"] = 7
    second.publish()
    return second


NAMES = {"new": b"a later file\n", "one": b"the first file\n", "two": b"the first file\n"}


@sound(
    "-",
    "names-of-a-file-that-is-gone",
    "the common record of two names has no name any more",
    version=2,
    lost=["a"],
    also=NAMES,
    links=[["one", "two"]],
)
def _(level):
    return second_names(level, None)


@sound(
    "-",
    "record-that-is-not-there",
    "no entry has the rank of the common record",
    version=2,
    lost=["a"],
    also=NAMES,
)
def _(level):
    return second_names(level, (0, 99))


@damaged(
    "T7",
    "record-of-another-size",
    "the common record is another file",
    ["a"],
    version=2,
    also={"new": b"a later file\n"},
)
def _(level):
    return second_names(level, (0, 2))


@damaged(
    "T7",
    "record-that-is-a-directory",
    "the common record is a directory",
    ["a"],
    version=2,
    also={"new": b"a later file\n"},
)
def _(level):
    return second_names(level, (0, 0))


# ---------------------------------------------------------------- frame tables
def in_stretches(level, change=None):
    """A repacked level: what is needed of two frames is in one new frame."""

    def make(says):
        keep = level.frames[0].raw + level.frames[1].raw[:600] + level.frames[2].raw[:100]
        new = Frame(1 << 32, keep, level.method)
        data, checksum = level.stored(new)
        segment = level.objects_of_stretches
        rows = [
            {"begin": 0, "raw": 1024, "skip": 0},
            {"begin": 1024, "raw": 600, "skip": 1024},
            {"begin": 2048, "raw": 100, "skip": 1624},
        ]
        rows = [
            dict(
                row,
                version=2,
                number=1 << 32,
                segment=2,
                offset=0,
                stored=len(data),
                stretch=(len(keep), row["skip"]),
                checksum=checksum,
            )
            for row in rows
        ]
        kept, _ = level.stored(level.frames[3])
        segment[level.name("segments", 1)] = kept
        rest = [dict(level.rows[3], offset=0)]
        level.rows = rows + rest
        if change:
            change(level.rows)
        segment[level.name("segments", 2)] = data
        says.update(segments=3, frame_table=level.table())

    level.objects_of_stretches = {}
    second = repacked(level, change=make)
    second.objects.update(level.objects_of_stretches)
    return second


@sound(
    "-",
    "stretches",
    "rows that are stretches of a new frame",
    version=2,
    also={"new": b"a later file\n"},
)
def _(level):
    return in_stretches(level)


def stretch(name, about, lost, change):
    @damaged("R6", name, about, lost, version=2, also={"new": b"a later file\n"})
    def _(level):
        return in_stretches(level, change)


stretch(
    "stretch-beyond-its-frame",
    "a stretch ends after its frame",
    ["b"],
    lambda rows: rows[2].update(stretch=(1724, 1700)),
)
stretch(
    "stretch-of-a-short-frame",
    "a stretch says that its frame is shorter",
    ["b"],
    lambda rows: rows[2].update(stretch=(1723, 1600)),
)
stretch(
    "bytes-that-moved",
    "a row says that its bytes have moved",
    ["b"],
    lambda rows: rows[2].update(version=3),
)


@damaged(
    "R6",
    "stretch-without-a-repack",
    "a row is a stretch in a level that was not repacked",
    ["b"],
    version=2,
)
def _(level):
    level.lay_out()
    level.rows[2].update(version=2, stretch=(1024, 0))
