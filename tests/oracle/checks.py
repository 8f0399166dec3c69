"""Part of decoder.py: checks of what no reader needs, from docs/format.md and its pages alone."""

import bisect
import struct
import subprocess
import tempfile

from frames import Bad, R, b64, need
from runs import child, node


def blake3(pieces, key, length):
    """BLAKE3 by the program b3sum; keyed, unless the key is None."""
    with tempfile.NamedTemporaryFile() as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        command = ["b3sum", "--no-names", "--length", str(length), file.name]
        command += ["--keyed"] if key else []
        done = subprocess.run(command, input=key or b"", stdout=subprocess.PIPE, check=True)
    return bytes.fromhex(done.stdout.decode().strip())


def check_hash(pt, e):
    """The hash of a file's content: of what is outside of holes, and where that is."""
    runs = []
    for at, _, _, length in e.ext:
        if runs and sum(runs[-1]) == at:
            runs[-1] = runs[-1][0], runs[-1][1] + length
        else:
            runs.append((at, length))
    holes = runs != [(0, e.size)]
    table = b"".join(at.to_bytes(8, "big") + n.to_bytes(8, "big") for at, n in runs)
    pieces = [data for _, data in pt.content(e)] + ([table] if holes else [])
    need(blake3(pieces, pt.st.hash_key, 20) == e.hash, "hash of content")


def live_ranges(t):
    r, at, out = R(b64(t)), 0, []
    while r.p < r.e:
        g, n = r.varint(), r.varint()
        need(n and (g or not out), "live: a zero")
        at += g
        out.append((at * 512, (at + n) * 512))
        at += n
    return out


class Live:
    """The live ranges that a manifest names."""

    def __init__(self, m, pt):
        need("live" not in m["levels"][0], "live of its own level")
        self.of = {d["serial"]: live_ranges(d["live"]) for d in m["levels"] if "live" in d}
        for level, ranges in self.of.items():
            end = -(-pt.levels[level].d["stream_bytes"] // 512) * 512
            need(not ranges or ranges[-1][1] <= end, "live behind the end of the stream")

    def has(self, level, begin, end, what):
        ranges = self.of.get(level)
        if ranges is None:
            return
        i = bisect.bisect_right(ranges, (begin, 1 << 70)) - 1
        inside = i >= 0 and ranges[i][0] <= begin and end <= ranges[i][1]
        need(inside, "%s %d..%d of level %d is not live" % (what, begin, end, level))


def check_signature(level, at, length, counts):
    """One signature of blocks: all of its form, and one block in 37."""
    b = b"".join(level.read(at, length))
    need(b[:4] == b"FzS1", "magic of signature")
    block, runs, blocks = struct.unpack("<IQQ", b[4:24])
    key, place, end = b[24:56], 56 + 16 * runs, 0
    need(1 <= block <= 1 << 30 and len(b) == place + 24 * blocks, "length of signature")
    for i in range(runs):
        begin, length = struct.unpack("<QQ", b[56 + 16 * i : 72 + 16 * i])
        need(length and begin >= end, "runs of signature")
        end = begin + length
        try:
            data = b"".join(level.read(begin, length))
        except (Bad, FileNotFoundError):  # dropped by a repack: not live
            place += 24 * -(-length // block)
            counts["gone"] += 1
            continue
        for j in range(0, length, block):
            counts["blocks"] += 1
            if counts["blocks"] % 37 == 1:
                check_block(data[j : j + block], key, b[place : place + 24])
            place += 24
    need(place == len(b), "behind the last sum")


def check_block(data, key, sums):
    plain = sum(data) & 0xFFFFFFFF
    weighted = sum((len(data) - i) * v for i, v in enumerate(data)) & 0xFFFFFFFF
    weak = weighted ^ ((plain << 16 | plain >> 16) & 0xFFFFFFFF)
    need(struct.unpack("<I", sums[:4])[0] == weak, "weak sum")
    need(blake3([data], key, 20) == sums[4:], "strong sum")


def check_heads(m, pt):
    for d, run in zip(m["index"], pt.runs):
        for head in d["head"]:
            found, nd = [], run.root
            while nd[0]:
                place = child(nd[2][0])
                raw = run.fetch(*place[:4])
                if place[0] == head["number"]:
                    found.append(raw == b64(head["node"]))
                nd = node(raw, nd[0] - 1)
            need(found == [True], "head block %d" % head["number"])


def check_parent(st, h, n, m):
    if m["parent"]:
        try:
            parent = st.manifest(h, n, m["parent"]["id"])
        except FileNotFoundError:
            return "parent %s is gone" % m["parent"]["id"]
        need(parent["digest"] == m["parent"]["digest"], "digest of parent")
    return None


def check_tables(pt):
    """The frames of each level: that they cover its stream, and that they fill its segments."""
    for level in pt.levels.values():
        level.newer()
        ends = {}
        seen = set()
        for row in level.rows():
            if row.number in seen:
                continue
            seen.add(row.number)
            ends[row.segment] = ends.get(row.segment, 0) + row.stored
            end = row.offset + row.stored
            need(level.gen or ends[row.segment] == end, "place of frame in its segment")
        for segment, end in ends.items():
            try:
                found = level.segment_bytes(segment)
            except FileNotFoundError:
                need("live" in level.d, "segment %d of level %s is missing" % (segment, level.id))
                continue
            need(
                found == end,
                "segment %d of level %s has %d bytes, not %d" % (segment, level.id, found, end),
            )


def verify(st, h, n, m, pt):
    """All of a point in time but its contents. Returns what was counted, and a remark or None."""
    live, counts = Live(m, pt), dict(entries=0, extents=0, signatures=0, blocks=0, gone=0)
    check_tables(pt)
    for comps, e, link in pt.tree():
        counts["entries"] += 1
        for _, level, at, length in e.ext:
            counts["extents"] += 1
            live.has(level, at, at + length, "extent of %r" % comps)
        for level, at, length in e.sig:
            counts["signatures"] += 1
            live.has(level, at, at + length, "signature of %r" % comps)
            check_signature(pt.levels[level], at, length, counts)
    need(counts["entries"] == m["counts"]["entries"], "number of entries")
    check_heads(m, pt)
    return counts, check_parent(st, h, n, m)
