"""The vectors: one function for each store. The rules are those of docs/format/reading.md."""

import hashlib
import struct

from forge import (
    CHARACTER,
    CHECKPOINT,
    DIRECTORY,
    FILE,
    INDEX,
    KEY,
    LATER,
    LEVEL,
    MANIFEST,
    PIPE,
    REPACKED,
    STORE,
    SYMLINK,
    TABLE,
    Level,
    child,
    compressed,
    document,
    entry,
    key_of,
    long_varint,
    node,
    root,
    text,
    varint,
    zstd,
    zstd_bomb,
)

CASES = []


def case(rule, name, about, encrypted=False, method=4, version=1, epochs=1, **expected):
    """Adds a vector. What is expected: `lost` are paths of the usual tree that must not come out,
    or "all"; `kept` those that must, whatever else is damaged; `also` what comes out besides;
    `read` and `check` are "sound" or "damaged"."""

    def add(make):
        def build():
            level = Level(encrypted, method, version=version, epochs=epochs)
            made = make(level)
            return (made or level).finish(), level

        CASES.append({"rule": rule, "name": name, "about": about, "build": build, **expected})
        return make

    return add


def sound(rule, name, about, **expected):
    return case(rule, name, about, read="sound", check="sound", **expected)


ALL = "all"
# What is wrong lies where a reader that follows names from the root never looks.
BLIND = "unseen"


# ---------------------------------------------------------------- sound stores
for number, codec in enumerate(["none", "gzip", "bzip2", "xz", "zstd"]):
    for encrypted in (False, True):
        what = "encrypted-" if encrypted else "plain-"
        about = "a sound level, %sencrypted, compression %s" % ("" if encrypted else "not ", codec)
        sound("-", what + codec, about, encrypted=encrypted, method=number)(lambda level: None)


@sound(
    "-",
    "kinds",
    "an empty file, a hole, a link, a device, a pipe, two names of one file",
    also={
        "empty": b"",
        "hole": bytes(700),
        "joined": b"the first file\n",
        "link": ("symlink", b"a"),
        "null": ("character", None),
        "pipe": ("pipe", None),
    },
    links=[["a", "joined"]],
)
def _(level):
    level.put(b"empty", entry(FILE))
    level.put(b"hole", entry(FILE, size=700))
    level.put(b"link", entry(SYMLINK, 0o777, target=b"a"))
    level.put(b"null", entry(CHARACTER, 0o666))
    level.put(b"pipe", entry(PIPE))
    level.put(b"a", level.file(b"a", links=2))
    rank = [key for key, _ in level.pairs].index(key_of(b"a"))
    level.put(b"joined", level.file(b"a", links=2, first=rank))


@sound("-", "blocks", "an index of two blocks below the root")
def _(level):
    in_blocks(level)


@sound("-", "unknown-fields", "a manifest with fields that this version does not know")
def _(level):
    level.describe()
    level.manifest["colour"] = "blue"
    level.manifest["levels"][0]["shape"] = {"round": True}


@sound("-", "more-objects", "objects that this version does not know")
def _(level):
    level.publish()
    level.objects["future/thing"] = b"unknown"
    level.objects[level.name("segments")[:-17] + "future/00000000"] = b"unknown"


@sound(
    "-",
    "of-two-runs",
    "a later level: one file is new, one is gone, one directory is gone",
    lost=["b", "d", "d/c"],
    also={"new": b"a later file\n"},
)
def _(level):
    return later(level)


@sound(
    "-",
    "repacked",
    "a level whose frames lie elsewhere now; nothing needs the last one",
    also={"new": b"a later file\n"},
)
def _(level):
    return repacked(level)


@sound(
    "-",
    "resumed",
    "a level has files in the stream of an interrupted run, which has no manifest",
    also={"new": b"a later file\n"},
)
def _(level):
    second = later(level, marks=False)
    del second.objects[level.manifest_name()]
    return second


# ---------------------------------------------------------------- helpers
def in_blocks(level, change=None, ranks=(0, 3), keys=None, heights=(0, 0), entries=None):
    """Puts the entries into two blocks of the index."""
    halves = [level.pairs[:3], level.pairs[3:]]
    raws = [node(half, height) for half, height in zip(halves, heights)]
    if change:
        raws = change(halves, raws)
    places = level.blocks(raws)
    keys = keys or [half[0][0] for half in halves]
    level.describe()
    pairs = [(key, child(*place, rank)) for key, place, rank in zip(keys, places, ranks)]
    count = len(level.pairs) if entries is None else entries
    level.manifest["index"] = [level.run(root(node(pairs, 1), count, 1), segments=1)]
    return places


def later(first, marks=True, change=None, version=None):
    """A second level on top of `first`, which stays."""
    first.publish()
    tree = {b"new": b"a later file\n"}
    version = version or first.version
    second = Level(first.encrypted, first.method, LATER, 2, tree, version=version)
    second.hides, second.identity = first.hides, first.identity
    second.pairs = [(b"", entry(DIRECTORY, 0o755, links=2))]
    if marks:
        second.pairs += [(key_of(b"b"), b"\1\6"), (key_of(b"d"), b"\1\6"), (b"d\0", b"\1\6")]
    second.put(b"new", second.file(b"new"))
    second.describe()
    manifest = second.manifest
    manifest["level"], manifest["chain"] = 1, first.manifest["chain"]
    own = first.objects[first.manifest_name()]
    manifest["parent"] = {"id": first.id, "digest": hashlib.sha256(own).hexdigest()}
    manifest["index"][0]["subtrees"] = 1 if marks else 0
    manifest["index"].append(first.manifest["index"][0])
    manifest["levels"].append(first.manifest["levels"][0])
    manifest["counts"]["entries"] = 3 if marks else 6
    if change:
        change(manifest)
    second.publish()
    second.objects.update(first.objects)
    return second


def repacked(first, change=None, lane=REPACKED, number=1, name=1):
    """A second level leans on the first, whose manifest is gone and whose frames were moved."""
    first.describe()
    first.publish()
    second = later(first, marks=False, change=leans)
    del second.objects[first.manifest_name()]
    segment = second.objects.pop(first.name("segments"))
    kept = [row for row in first.rows if row["begin"] < first.rows[-1]["begin"]]
    first.rows = [dict(row, segment=1) for row in kept]
    second.objects[first.name("segments", 1)] = segment[
        : first.rows[-1]["offset"] + first.rows[-1]["stored"]
    ]
    says = {
        "version": 1,
        "level": first.id,
        "number": 1,
        "stream_bytes": len(first.stream),
        "segments": 2,
        "frame_table": first.table(),
        "frame_table_segments": 0,
        "first_frame_table_segment": 0,
    }
    if change:
        change(says)
    raw = document(says)
    second.objects[first.name("repacked", name)] = first.seal(lane, number, raw, 4)
    return second


def leans(manifest):
    """The later level needs the first one's stream up to the last file."""
    of_first = manifest["levels"][1]
    units = of_first["stream_bytes"] // 512 - 2
    of_first["live"] = text(varint(0) + varint(units))


def refused(rule, name, about, **expected):
    """The point in time cannot be opened: nothing comes out."""
    return case(rule, name, about, lost=ALL, **expected)


def damaged(rule, name, about, lost, **expected):
    """These paths must not come out. What is sound may."""
    return case(rule, name, about, lost=lost, **expected)


MANIFEST_NAME = "manifests/host/tree/" + LEVEL


# ---------------------------------------------------------------- S: the store, K: its keys
@refused("S1", "store-of-a-later-version", "freezer.json has a version that nobody knows")
def _(level):
    level.identity["version"] = 77


@refused("S1", "store-of-another-program", "freezer.json is of another format")
def _(level):
    level.identity["format"] = "other store"


@refused("S2", "unknown-cipher", "freezer.json names a cipher that nobody knows")
def _(level):
    level.identity["cipher"] = "rot13"


@refused("S3", "store-id-of-31-digits", "the id of the store is too short")
def _(level):
    level.identity["id"] = STORE.hex()[1:]


@refused(
    "F4",
    "plain-frames-in-an-encrypted-store",
    "an encrypted store whose level is not",
    encrypted=True,
)
def _(level):
    plain = Level()
    level.objects.update(
        {name: data for name, data in plain.finish().items() if name != "freezer.json"}
    )
    level.finished = True


@refused(
    "F4",
    "downgraded-store",
    "freezer.json says that an encrypted store is not encrypted",
    encrypted=True,
)
def _(level):
    level.identity["cipher"] = "none"


def with_key(level, **fields):
    level.finish()
    level.objects["keys/5fdc4675.json"] = document(dict(KEY, **fields))


@refused(
    "K1",
    "key-of-a-later-version",
    "the key document has a version that nobody knows",
    encrypted=True,
)
def _(level):
    with_key(level, version=77)


@refused(
    "K1", "key-of-another-function", "the key is derived in a way that nobody knows", encrypted=True
)
def _(level):
    with_key(level, kdf="scrypt")


@refused("K2", "key-that-costs-too-much", "the key asks for a terabyte of memory", encrypted=True)
def _(level):
    with_key(level, cost={"memory_kib": 1 << 30, "passes": 1, "lanes": 1})


@refused("K3", "key-with-another-tag", "the tag of the key was changed", encrypted=True)
def _(level):
    with_key(level, tag=text(bytes(32)))


@refused("K4", "key-under-another-id", "the key has another id than its name", encrypted=True)
def _(level):
    with_key(level, id="00000000")


# ---------------------------------------------------------------- F: frames
@damaged(
    "F5",
    "swapped-frames",
    "two frames of an encrypted level stand in each other's place",
    ["a", "b"],
    encrypted=True,
)
def _(level):
    level.lay_out()
    one, two, three = level.rows[1:4]
    data = level.objects[level.name("segments")]
    first, second = (data[r["offset"] : r["offset"] + r["stored"]] for r in (one, two))
    level.objects[level.name("segments")] = (
        data[: one["offset"]] + second + first + data[three["offset"] :]
    )
    one["stored"], two["stored"] = len(second), len(first)
    two["offset"] = one["offset"] + len(second)


@damaged(
    "F5",
    "swapped-bare-frames",
    "two frames that are not encrypted, and their checksums",
    ["a", "b"],
    method=0,
)
def _(level):
    level.lay_out()
    one, two = level.rows[1:3]
    one["checksum"], two["checksum"] = two["checksum"], one["checksum"]
    data = level.objects[level.name("segments")]
    data = data[:1024] + data[2048:3072] + data[1024:2048] + data[3072:]
    level.objects[level.name("segments")] = data


def one_frame(made, **fields):
    """Changes the frame that holds the file `b`."""
    for name, value in fields.items():
        setattr(made.frames[2], name, value)


@damaged("F5", "wrong-number", "a frame has the number of another", ["b"], encrypted=True)
def _(level):
    one_frame(level, number=1)


@damaged(
    "F4",
    "wrong-lane",
    "a frame of the stream says that it is one of the index",
    ["b"],
    encrypted=True,
)
def _(level):
    one_frame(level, lane=INDEX)


@damaged("F3", "of-another-level", "a frame belongs to another level", ["b"], encrypted=True)
def _(level):
    one_frame(level, level=LATER)


@damaged("F3", "bare-frame-of-another-level", "a bare frame belongs to another level", ["b"])
def _(level):
    one_frame(level, level=LATER)


@damaged("F1", "flag-in-byte-7", "byte 7 of a frame is not 0", ["b"], encrypted=True)
def _(level):
    one_frame(level, flag=1)


@damaged("F1", "other-magic", "a frame begins with other letters", ["b"], encrypted=True)
def _(level):
    one_frame(level, magic=b"FzF9")


@damaged("F3", "changed-frame", "one bit of a frame was changed", ["b"], encrypted=True)
def _(level):
    level.lay_out()
    data = bytearray(level.objects[level.name("segments")])
    data[level.rows[2]["offset"] + 60] ^= 1
    level.objects[level.name("segments")] = bytes(data)


@damaged("F3", "changed-bare-frame", "one bit of a bare frame was changed", ["b"])
def _(level):
    level.lay_out()
    data = bytearray(level.objects[level.name("segments")])
    data[level.rows[2]["offset"] + 20] ^= 1
    level.objects[level.name("segments")] = bytes(data)


for encrypted in (False, True):
    kind = "sealed" if encrypted else "bare"

    def packed(name, about, payload, encrypted=encrypted, kind=kind, method=4):
        @damaged(
            "F7",
            "%s-%s" % (name, kind),
            "%s (%s)" % (about, kind),
            ["b"],
            encrypted=encrypted,
            method=method,
        )
        def _(level):
            one_frame(level, payload=payload(level.frames[2].raw))

    packed("bomb", "a frame that grows to 64 MiB and says 1024", lambda raw: zstd_bomb(64 << 20))
    packed(
        "two-zstd-frames",
        "two zstd frames in one frame",
        lambda raw: zstd(raw[:512]) + zstd(raw[512:]),
    )
    packed("trailing-bytes", "bytes after the compressed ones", lambda raw: zstd(raw) + b"more")
    packed(
        "skippable-first",
        "a skippable zstd frame stands first",
        lambda raw: b"\x50\x2a\x4d\x18\x04\0\0\0junk" + zstd(raw),
    )
    packed("short", "a frame holds fewer bytes than it says", lambda raw: zstd(raw[:1000]))
    packed("long", "a frame holds more bytes than it says", lambda raw: zstd(raw + b"more"))
    packed("cut-off", "a frame ends before its compressed bytes do", lambda raw: zstd(raw)[:-9])
    packed(
        "two-members",
        "two gzip members in one frame",
        method=1,
        payload=lambda raw: compressed(1, raw[:512]) + compressed(1, raw[512:]),
    )
    packed(
        "two-streams-bzip2",
        "two bzip2 streams in one frame",
        method=2,
        payload=lambda raw: compressed(2, raw[:512]) + compressed(2, raw[512:]),
    )
    packed(
        "two-streams-xz",
        "two xz streams in one frame",
        method=3,
        payload=lambda raw: compressed(3, raw[:512]) + compressed(3, raw[512:]),
    )


@damaged("F6", "too-long-a-frame", "a frame says that it holds 65 MiB", ["b"], encrypted=True)
def _(level):
    one_frame(level, length=65 << 20, payload=zstd_bomb(65 << 20))


@damaged(
    "F1",
    "unknown-compression",
    "a frame is compressed in a way that nobody knows",
    ["b"],
    encrypted=True,
)
def _(level):
    one_frame(level, method=9, payload=level.frames[2].raw)


# ---------------------------------------------------------------- M: manifests
def manifest(rule, name, about, change, **expected):
    @refused(rule, name, about, **expected)
    def _(level):
        level.describe()
        change(level.manifest)


@refused("F4", "manifest-in-another-lane", "the manifest is a checkpoint")
def _(level):
    level.publish(lane=CHECKPOINT)


@refused("F5", "manifest-with-a-number", "the manifest is frame 1")
def _(level):
    level.publish(number=1)


@refused("F3", "manifest-of-another-level", "the manifest belongs to another level")
def _(level):
    level.publish(level=LATER)


@refused(
    "M7", "rolled-back-manifest", "under the name of a later level lies the manifest of the first"
)
def _(level):
    second = later(level)
    second.objects["manifests/host/tree/" + LATER] = second.objects.pop(MANIFEST_NAME)
    return second


manifest(
    "M1", "manifest-of-a-later-version", "its version is unknown", lambda m: m.update(version=77)
)
manifest(
    "M2",
    "manifest-of-another-store",
    "it names another store",
    lambda m: m.update(store=bytes(16).hex()),
)
manifest("M2", "manifest-of-another-host", "it names another host", lambda m: m.update(host="x"))
manifest(
    "M2", "manifest-of-another-backup", "it names another backup", lambda m: m.update(name="x")
)
manifest("M2", "manifest-with-another-id", "it names another level", lambda m: m.update(id=LATER))
manifest("M3", "no-runs", "it has no runs", lambda m: m.update(index=[]))
manifest("M3", "too-many-runs", "it has 64 runs", lambda m: m.update(index=m["index"] * 64))
manifest(
    "M4",
    "run-of-an-unnamed-level",
    "a run lies in a level that is not named",
    lambda m: m["index"][0].update(serial=9),
)
manifest(
    "M4", "level-named-twice", "a level is named twice", lambda m: m.update(levels=m["levels"] * 2)
)
manifest(
    "M4",
    "itself-not-first",
    "its own level is not the first of its levels",
    lambda m: m["levels"][0].update(id=LATER),
)
manifest(
    "M5",
    "unknown-method",
    "its stream is compressed in a way that nobody knows",
    lambda m: m["levels"][0].update(compression="brotli"),
)


@damaged("M6", "bad-live", "the live ranges of a level are no varints", [], read=BLIND)
def _(level):
    level.describe()
    level.manifest["levels"][0]["live"] = text(b"\x80")


manifest(
    "M5",
    "level-id-that-is-a-path",
    "the id of a level is a path",
    lambda m: (m["levels"].append(dict(m["levels"][0], serial=2, id="../../../other"))),
)


@case(
    "M8",
    "other-parent",
    "the parent is another manifest than the one that is there",
    lost=["b", "d", "d/c"],
    also={"new": b"a later file\n"},
    read="sound",
)
def _(level):
    return later(level, change=lambda m: m["parent"].update(digest="00" * 32))


# ---------------------------------------------------------------- N: nodes of runs
def raw_root(rule, name, about, change, lost=ALL, **expected):
    """The root's bytes are changed."""

    @damaged(rule, name, about, lost, **expected)
    def _(level):
        level.describe()
        top = level.manifest["index"][0]["root"]
        change(level, top)


raw_root(
    "N1",
    "node-of-a-later-version",
    "a node has a version that nobody knows",
    lambda l, top: top.update(node=text(b"\x63" + node(l.pairs)[1:])),
)
raw_root(
    "N2",
    "root-of-another-height",
    "the root is higher than the manifest says",
    lambda l, top: top.update(height=1),
)
raw_root(
    "N2",
    "root-of-height-200",
    "the root is a leaf and says 200",
    lambda l, top: top.update(height=200),
)
raw_root(
    "N5",
    "fewer-entries",
    "the root has fewer entries than the manifest says",
    lambda l, top: top.update(entries=len(l.pairs) + 1),
)
raw_root(
    "N5",
    "a-lie-about-entries",
    "the run should have 2^62 entries",
    lambda l, top: top.update(entries=1 << 62),
)
raw_root(
    "N4",
    "trailing-bytes-in-a-node",
    "bytes follow the last entry",
    lambda l, top: top.update(node=text(node(l.pairs) + b"\0")),
)
raw_root(
    "N4",
    "cut-off-node",
    "the node ends in an entry",
    lambda l, top: top.update(node=text(node(l.pairs)[:-3])),
)
raw_root(
    "N3",
    "keys-out-of-order",
    "the keys do not ascend",
    lambda l, top: top.update(node=text(node(l.pairs[:1] + l.pairs[:0:-1]))),
)
raw_root(
    "N3",
    "key-twice",
    "a key stands twice",
    lambda l, top: top.update(node=text(node(l.pairs + l.pairs[-1:])), entries=len(l.pairs) + 1),
)
raw_root(
    "V1",
    "long-varint-in-a-node",
    "a count is longer than it need be",
    lambda l, top: top.update(node=text(b"\1\0" + long_varint(len(l.pairs)) + node(l.pairs)[3:])),
)
raw_root(
    "N7",
    "root-of-65-kib",
    "the root is larger than a root may be",
    lambda l, top: top.update(
        node=text(
            node(
                l.pairs
                + [
                    (b"zz\0\0" + b"%05d" % n, entry(SYMLINK, 0o777, target=b"\xff" * 900))
                    for n in range(80)
                ]
            )
        ),
        entries=len(l.pairs) + 80,
    ),
)


@damaged("N3", "shares-too-little", "a key does not share all that it could", ALL)
def _(level):
    level.describe()
    pairs = [(key_of(b"name1"), level.file(b"a")), (key_of(b"name2"), level.file(b"b"))]
    (one, first), (two, second) = pairs
    top = level.pairs[0]
    raw = b"\1\0\3" + b"\0" + b"\0" + varint(len(top[1])) + top[1]
    raw += b"\0" + varint(len(one)) + varint(len(first)) + one + first
    raw += b"\2" + varint(len(two) - 2) + varint(len(second)) + two[2:] + second
    level.manifest["index"][0]["root"] = root(raw, 3)


def of_blocks(rule, name, about, change, lost=ALL, **expected):
    @damaged(rule, name, about, lost, **expected)
    def _(level):
        change(level)


of_blocks(
    "N5",
    "rank-of-the-second-block",
    "the second block begins with another rank",
    lambda l: in_blocks(l, ranks=(0, 2)),
)
of_blocks(
    "N5",
    "ranks-that-do-not-ascend",
    "two blocks begin with the same rank",
    lambda l: in_blocks(l, ranks=(0, 0)),
)
of_blocks(
    "N5",
    "first-rank-not-0",
    "the first block does not begin with rank 0",
    lambda l: in_blocks(l, ranks=(1, 3)),
)
of_blocks(
    "N6",
    "other-first-key",
    "a block begins with another key than its parent says",
    lambda l: in_blocks(l, keys=[b"", l.pairs[2][0] + b"x"]),
    ["d", "d/c"],
)
of_blocks(
    "N2",
    "block-of-another-height",
    "a block below the root is no leaf",
    lambda l: in_blocks(l, heights=(0, 1)),
    ["d", "d/c"],
)
of_blocks(
    "N8",
    "keys-reach-into-the-next-block",
    "a block has a key of the next one",
    lambda l: in_blocks(
        l, change=lambda h, raws: [node(h[0][:2] + [(key_of(b"zz"), h[0][2][1])]), raws[1]]
    ),
)


@damaged("F5", "swapped-blocks", "two blocks of the index stand in each other's place", ALL)
def _(level):
    one, two = in_blocks(level)
    data = level.objects[level.name("index")]
    level.objects[level.name("index")] = data[one[3] :] + data[: one[3]]
    pairs = [(b"", child(0, 0, 0, two[3], 0)), (level.pairs[3][0], child(1, 0, two[3], one[3], 3))]
    level.manifest["index"] = [level.run(root(node(pairs, 1), len(level.pairs), 1), segments=1)]


@damaged("F4", "block-in-another-lane", "a block of the index is one of the frame table", ALL)
def _(level):
    level.describe()
    block = level.seal(TABLE, 0, node(level.pairs))
    level.objects[level.name("index")] = block
    top = node([(b"", child(0, 0, 0, len(block), 0))], 1)
    level.manifest["index"] = [level.run(root(top, len(level.pairs), 1), segments=1)]


@damaged("N2", "block-that-is-its-own-child", "an inner node names itself", ALL)
def _(level):
    level.describe()
    length = 0
    for _ in range(4):
        raw = node([(b"", child(0, 0, 0, length, 0))], 1)
        length = len(level.seal(INDEX, 0, raw))
    level.objects[level.name("index")] = level.seal(INDEX, 0, raw)
    level.manifest["index"] = [level.run(root(raw, 2, 1), segments=1)]


# ---------------------------------------------------------------- T: trees
def tree(rule, name, about, change, lost, **expected):
    @damaged(rule, name, about, lost, **expected)
    def _(level):
        change(level)


def drop(level, *paths):
    keys = [key_of(path) for path in paths]
    level.pairs = [pair for pair in level.pairs if pair[0] not in keys]


tree("T1", "no-root", "the tree has no root", lambda l: drop(l, b""), ALL)
tree("T1", "root-is-a-file", "the root is a file", lambda l: l.put(b"", l.file(b"a")), ALL)
tree(
    "T2",
    "orphan",
    "an entry lies in no directory",
    lambda l: drop(l, b"d"),
    ["d", "d/c"],
    read=BLIND,
)
tree(
    "T2",
    "below-a-file",
    "an entry lies below a file",
    lambda l: l.put(b"d", l.file(b"a")),
    ["d/c"],
    also={"d": b"the first file\n"},
    read=BLIND,
)
tree(
    "T2",
    "below-a-link",
    "an entry lies below a symbolic link",
    lambda l: l.put(b"d", entry(SYMLINK, 0o777, target=b"/")),
    ["d/c"],
    also={"d": ("symlink", b"/")},
    read=BLIND,
)
for rule, name, about, key in (
    ("T3", "dot-dot", "a name is ..", b"\0.."),
    ("T3", "dot", "a name is .", b"\0."),
    ("T3", "slash-in-a-name", "a name has a slash", b"\0../evil"),
    ("T3", "absolute-name", "a name is an absolute path", b"\0/evil"),
    ("T3", "directory-dot-dot", "a directory is ..", b"..\0\0evil"),
    ("T3", "empty-component", "a directory has no name", b"\0\0evil"),
    ("T3", "key-without-separator", "a key has no byte 0", b"zz"),
    ("T3", "too-many-zeros", "a key has three bytes 0 before the name", b"d\0\0\0x"),
):
    tree(rule, name, about, lambda l, key=key: l.put((key,), l.file(b"b")), [], read=BLIND)
tree(
    "T4",
    "gone-in-the-only-run",
    "the only run says that something is gone",
    lambda l: l.put(b"b", b"\1\6"),
    ["b"],
)
tree(
    "T4",
    "subtree-with-an-entry",
    "under the key of a subtree is an entry",
    lambda l: l.put((b"d\0",), l.file(b"a")),
    [],
    read=BLIND,
)
tree(
    "T7",
    "first-name-after",
    "the first name of a file stands after it",
    lambda l: l.put(b"a", l.file(b"a", first=2, links=2)),
    ["a"],
)
tree(
    "T7",
    "first-name-itself",
    "the first name of a file is itself",
    lambda l: l.put(b"a", l.file(b"a", first=1, links=2)),
    ["a"],
)
tree(
    "T7",
    "link-to-a-directory",
    "the first name of a file is a directory",
    lambda l: l.put(b"a", l.file(b"a", first=0, links=2)),
    ["a"],
)
tree(
    "T7",
    "link-of-a-directory",
    "a directory is another name of a directory",
    lambda l: l.put(b"e", entry(DIRECTORY, 0o755, first=0)),
    ["e"],
)
tree(
    "T7",
    "link-to-a-symbolic-link",
    "the first name of a file is a symbolic link",
    lambda l: (
        l.put(b"a", entry(SYMLINK, 0o777, target=b"/etc/passwd")),
        l.put(b"b", l.file(b"b", first=1, links=2)),
    ),
    ["b"],
    also={"a": ("symlink", b"/etc/passwd")},
)
tree(
    "T7",
    "link-to-another-file",
    "two names of one file have different contents",
    lambda l: l.put(b"b", l.file(b"b", first=1, links=2)),
    ["b"],
)
for name, about, more in (
    ("entry-of-a-later-version", "an entry has a version that nobody knows", {"version": 99}),
    ("unknown-flag", "an entry has a flag that nobody knows", {"flags": 128}),
    ("trailing-bytes-in-an-entry", "bytes follow an entry", {"more": b"\0"}),
    ("mode-too-large", "the mode has more than the permission bits", {"mode": 0o170644}),
    (
        "long-varint-in-an-entry",
        "a number is longer than it need be",
        {"mode_bytes": b"\xa4\x83\x00"},
    ),
    ("user-too-large", "the user has a number of 33 bits", {"uid": 1 << 32}),
    (
        "nanoseconds-too-large",
        "a time has more than a second of nanoseconds",
        {"nanoseconds": 10**9},
    ),
    (
        "ctime-that-is-mtime",
        "a ctime stands there though it is the mtime",
        {"ctime": 1_700_000_000},
    ),
):
    tree("T5", name, about, lambda l, more=more: l.put(b"b", l.file(b"b", **more)), ["b"])
tree(
    "T5",
    "unknown-kind",
    "an entry has a kind that nobody knows",
    lambda l: l.put(b"b", entry(9)),
    ["b"],
)
tree(
    "T5",
    "empty-target",
    "a link has no target",
    lambda l: l.put(b"b", entry(SYMLINK, 0o777)),
    ["b"],
)
tree(
    "T5",
    "target-with-nul",
    "the target of a link has a byte 0",
    lambda l: l.put(b"b", entry(SYMLINK, 0o777, target=b"x\0y")),
    ["b"],
)
tree(
    "T5",
    "extents-of-a-directory",
    "a directory has content",
    lambda l: l.put(b"b", entry(DIRECTORY, extents=[(0, 1, 0, 5)])),
    ["b"],
)
tree(
    "T5",
    "xattrs-out-of-order",
    "the attributes are not sorted",
    lambda l: l.put(b"b", l.file(b"b", xattrs=[(b"user.b", b""), (b"user.a", b"")])),
    ["b"],
)
tree(
    "T5",
    "xattr-twice",
    "an attribute stands twice",
    lambda l: l.put(b"b", l.file(b"b", xattrs=[(b"user.a", b""), (b"user.a", b"")])),
    ["b"],
)
tree(
    "T6",
    "one-extent-as-a-list",
    "one extent over the whole file stands as a list",
    lambda l: l.put(b"b", l.file(b"b", spread=True)),
    ["b"],
)
tree(
    "T6",
    "empty-content-in-one-piece",
    "an empty file has content in one piece",
    lambda l: l.put(b"b", entry(FILE, extents=[(0, 1, 0, 0)], whole=True)),
    ["b"],
)
for name, about, size, extents in (
    ("overlapping-extents", "two extents overlap", 10, [(0, 1, 0, 8), (4, 1, 512, 6)]),
    ("extent-beyond-the-file", "an extent ends after the file", 10, [(0, 1, 0, 4), (6, 1, 512, 9)]),
    ("extent-beyond-the-stream", "an extent ends after the stream", 900, [(0, 1, 5000, 900)]),
    ("extent-that-wraps", "an extent begins near 2^64", 99, [(0, 1, (1 << 64) - 9, 99)]),
    (
        "extent-of-an-unnamed-level",
        "an extent lies in a level that is not named",
        9,
        [(0, 7, 0, 9)],
    ),
    ("empty-extent", "an extent has no bytes", 10, [(0, 1, 0, 0), (5, 1, 0, 5)]),
    ("split-extent", "two extents are one run of bytes", 10, [(0, 1, 0, 5), (5, 1, 5, 5)]),
):
    if name != "split-extent":
        tree(
            "T6",
            name,
            about,
            lambda l, size=size, extents=extents: l.put(
                b"b", entry(FILE, size=size, extents=extents)
            ),
            ["b"],
        )


@case("T8", "other-count", "the manifest says another number of entries", read=BLIND)
def _(level):
    level.describe()
    level.manifest["counts"]["entries"] += 1


@case(
    "T4",
    "other-number-of-subtrees",
    "the manifest says that no subtree is gone",
    read=BLIND,
    lost=["b", "d", "d/c"],
    also={"new": b"a later file\n"},
)
def _(level):
    return later(level, change=lambda m: m["index"][0].update(subtrees=0))


# ---------------------------------------------------------------- R: frame tables
def rows(rule, name, about, change, lost, **expected):
    @damaged(rule, name, about, lost, **expected)
    def _(level):
        level.lay_out()
        change(level, level.rows)


rows(
    "R1",
    "row-of-a-later-version",
    "a row has a version that nobody knows",
    lambda l, rows: rows[2].update(version=99),
    ["b"],
)
rows(
    "R1",
    "row-with-a-short-key",
    "the key of a row has seven bytes",
    lambda l, rows: rows[2].update(key=struct.pack(">Q", 2048)[:7]),
    ["b"],
)
rows(
    "R1",
    "row-with-more-bytes",
    "bytes follow a row",
    lambda l, rows: rows[2].update(more=b"\0"),
    ["b"],
)
rows(
    "R1",
    "row-without-checksum",
    "a bare frame has no checksum",
    lambda l, rows: rows[2].update(checksum=b""),
    ["b"],
)
rows(
    "R1",
    "row-with-a-checksum-too-many",
    "a sealed frame has a checksum",
    lambda l, rows: rows[2].update(checksum=bytes(16)),
    ["b"],
    encrypted=True,
)
rows(
    "R2",
    "row-with-another-number",
    "a row has the number of the next frame",
    lambda l, rows: rows[2].update(number=3),
    ["b"],
)
rows("R2", "gap-in-the-table", "the table leaves a frame out", lambda l, rows: rows.pop(2), ["b"])
rows(
    "R3",
    "frames-that-overlap",
    "a frame begins before the one before it ends",
    lambda l, rows: rows[2].update(begin=1536),
    ["b"],
)
rows(
    "R3",
    "first-frame-not-at-0",
    "the first frame begins at 1",
    lambda l, rows: rows[0].update(begin=1),
    [],
    read=BLIND,
)
rows(
    "R3",
    "table-that-ends-early",
    "the table ends before the stream",
    lambda l, rows: rows.__delitem__(slice(3, None)),
    ["d/c"],
)
rows("R4", "empty-frame", "a frame has no bytes", lambda l, rows: rows[2].update(raw=0), ["b"])
rows(
    "R4",
    "frame-beyond-its-segment",
    "a frame ends after its segment",
    lambda l, rows: rows[2].update(offset=1 << 20),
    ["b"],
)
rows(
    "R4",
    "frame-in-a-segment-too-far",
    "a frame lies in a segment that the level does not have",
    lambda l, rows: rows[2].update(segment=9),
    ["b"],
)


@damaged("R5", "missing-segment", "a segment is missing", ["a", "b", "d/c"])
def _(level):
    level.finish()
    del level.objects[level.name("segments")]


@damaged("R5", "cut-off-segment", "a segment is too short", ["d/c"])
def _(level):
    level.lay_out()
    name = level.name("segments")
    level.objects[name] = level.objects[name][: level.rows[3]["offset"] + 20]


@case("R5", "segment-with-more-bytes", "bytes follow the last frame of a segment", read="sound")
def _(level):
    level.lay_out()
    level.objects[level.name("segments")] += b"more"


# ---------------------------------------------------------------- P: repacked levels
def moved(rule, name, about, **how):
    @damaged(rule, name, about, ["a", "b", "d/c"], also={"new": b"a later file\n"})
    def _(level):
        return repacked(level, **how)


moved(
    "P1",
    "repacked-of-another-level",
    "it names another level",
    change=lambda says: says.update(level=LATER),
)
moved(
    "P1",
    "repacked-with-another-number",
    "it has another number than its name",
    change=lambda says: says.update(number=2),
)
moved(
    "P1",
    "repacked-of-a-later-version",
    "its version is unknown",
    change=lambda says: says.update(version=77),
)
moved("F4", "repacked-in-another-lane", "it is a manifest", lane=MANIFEST)
moved("F5", "repacked-with-another-frame-number", "it is frame 2 under the name 1", number=2)
