"""Part of decoder.py: sorted runs and the streams of levels, from docs/format/index.md alone."""

import bisect
import json
import os
import re
from collections import OrderedDict

from frames import COMP, FRAME_MAX, ID_RE, KEY_MAX, NODE_MAX, ROOT_MAX, R, b64, need, num

NUMBER_RE = re.compile(r"^(\d{8}|A\d{10})$")


# ---------------------------------------------------------------- sorted runs
def node(raw, height=None):
    need(len(raw) <= NODE_MAX, "node too long")
    r = R(raw)
    need(r.u8() == 1, "version of node")
    h = r.u8()
    need(height is None or h == height, "height of node")
    n = r.varint()
    keys, vals, prev = [], [], None
    for i in range(n):
        sh, rest, ln = r.varint(), r.varint(), r.varint()
        if i % 16 == 0:
            need(sh == 0, "shared at a restart")
        k0 = keys[-1] if keys else b""
        need(sh <= len(k0), "shared too long")
        tail = r.take(rest)
        k = k0[:sh] + tail
        need(len(k) <= KEY_MAX, "key too long")
        if i % 16:
            need(not (sh < len(k0) and tail and tail[0] == k0[sh]), "shared not all")
        if keys:
            need(k > k0, "keys ascend")
        keys.append(k)
        vals.append(r.take(ln))
    r.end()
    need(h == 0 or n, "empty inner node")
    return h, keys, vals


def child(v):
    r = R(v)
    t = (r.varint(), r.varint(1 << 32), r.varint(), r.varint(1 << 32), r.varint())
    r.end()
    return t


class Run:
    """fetch(block number, object, offset, length) -> raw node"""

    def __init__(self, root, fetch):
        need(isinstance(root["height"], int) and 0 <= root["height"] < 64, "height of root")
        self.raw = b64(root["node"])
        need(len(self.raw) <= ROOT_MAX, "root too long")
        self.h, self.n, self.fetch, self.cache = (
            root["height"],
            root["entries"],
            fetch,
            OrderedDict(),
        )
        need(isinstance(self.n, int) and 0 <= self.n < 1 << 64, "entries of root")
        self.root = node(self.raw, self.h)
        if self.h == 0:
            need(len(self.root[1]) == self.n, "entries of root")
        else:
            self.check(self.root, 0, self.n)

    def check(self, nd, lo, hi):
        h, ks, vs = nd
        if h == 0:
            need(len(ks) == hi - lo, "entries of leaf")
            return
        cs = [child(v) for v in vs]
        need(cs[0][4] == lo, "rank of first child")
        for a, b in zip(cs, cs[1:]):
            need(a[4] < b[4], "ranks ascend")
        need(cs[-1][4] < hi, "rank of last child")

    def kid(self, nd, i, hi, upper):
        h, ks, vs = nd
        c = child(vs[i])
        lo = c[4]
        top = child(vs[i + 1])[4] if i + 1 < len(vs) else hi
        up = ks[i + 1] if i + 1 < len(vs) else upper
        k = (c[0], c[1], c[2])
        if k in self.cache:
            self.cache.move_to_end(k)
            sub = self.cache[k]
        else:
            sub = node(self.fetch(*c[:4]), h - 1)
            self.cache[k] = sub
            if len(self.cache) > 64:
                self.cache.popitem(False)
        need(sub[1] and sub[1][0] == ks[i], "first key of block")
        self.check(sub, lo, top)
        need(up is None or sub[1][-1] < up, "keys below a child")
        return sub, lo, top, up

    def floor(self, key):
        """(key, value, rank) of the last entry whose key is not greater"""
        nd, lo, hi, up = self.root, 0, self.n, None
        while True:
            i = bisect.bisect_right(nd[1], key) - 1
            if i < 0:
                return None
            if nd[0] == 0:
                return nd[1][i], nd[2][i], lo + i
            nd, lo, hi, up = self.kid(nd, i, hi, up)

    def get(self, key):
        f = self.floor(key)
        return f if f and f[0] == key else None

    def at(self, rank):
        nd, lo, hi, up = self.root, 0, self.n, None
        need(rank < self.n, "rank")
        while nd[0]:
            rs = [child(v)[4] for v in nd[2]]
            i = bisect.bisect_right(rs, rank) - 1
            nd, lo, hi, up = self.kid(nd, i, hi, up)
        return nd[1][rank - lo], nd[2][rank - lo]

    def __iter__(self):
        return self.walk(self.root, 0, self.n, None)

    def walk(self, nd, lo, hi, up):
        if nd[0] == 0:
            for i, (k, v) in enumerate(zip(nd[1], nd[2])):
                yield k, v, lo + i
        else:
            for i in range(len(nd[1])):
                yield from self.walk(*self.kid(nd, i, hi, up))


# ---------------------------------------------------------------- streams
class Row:
    """A row of a frame table."""


class Level:
    def __init__(self, st, h, n, d, cache, need_table=True):
        self.st, self.base, self.d, self.cache = (
            st,
            "data/%s/%s/%s" % (h, n, d["id"]),
            dict(d),
            cache,
        )
        self.id, self.serial = d["id"], d["serial"]
        need(ID_RE.match(self.id), "id in levels")
        need(d["compression"] in COMP, "compression %r" % d["compression"])
        self.comp = COMP[d["compression"]]
        self.gen = d.get("repacked", 0)
        self.table = None

    def block(self, kind, lane, no, ob, off, ln):
        need(ln >= 72, "block too short")
        return self.st.sealed(
            self.st.pread("%s/%s/%s" % (self.base, kind, num(ob)), off, ln), self.id, lane, no
        )

    def frames_run(self):
        if self.table is None:
            self.table = (
                Run(
                    self.d["frame_table"],
                    lambda no, ob, off, ln: self.block("frames", 2, no, ob, off, ln),
                )
                if self.d["frame_table"]
                else None
            )
        return self.table

    def newer(self):
        ns = [x for x in self.st.ls(self.base + "/repacked") if NUMBER_RE.match(x)]
        ns = sorted((int(x.lstrip("A")), x) for x in ns)
        if not ns or ns[-1][0] <= self.gen:
            return False
        no, name = ns[-1]
        j = json.loads(self.st.sealed(self.st.get(self.base + "/repacked/" + name), self.id, 5, no))
        need(j["version"] in (1, 2) and not j.get("requires"), "version of repacked object")
        need(j["level"] == self.id and j["number"] == no, "repacked object")
        for k in ("stream_bytes", "segments", "frame_table", "frame_table_segments"):
            self.d[k] = j[k]
        self.gen, self.table = no, None
        return True

    def frame(self, pos):
        """(begin, bytes) of the frame that holds pos"""
        while True:
            try:
                return self.frame_(pos)
            except FileNotFoundError:
                if not self.newer():
                    raise

    def row(self, k, v, rank):
        need(len(k) == 8, "key of frame")
        r = R(v)
        kind = r.u8()
        need(kind in (1, 2), "kind of row")
        row = Row()
        row.begin, row.number, row.length = int.from_bytes(k, "big"), r.varint(), r.varint(1 << 32)
        row.segment, row.offset, row.stored = r.varint(1 << 32), r.varint(), r.varint(1 << 32)
        row.raw, row.skip, row.stretch = row.length, 0, kind == 2
        if kind == 2:
            row.raw, row.skip = r.varint(1 << 32), r.varint()
            need(self.gen and row.number >= 1 << 32, "stretch where there can be none")
        else:
            need(row.number >= rank if self.gen else row.number == rank, "number of frame")
            need(row.number or not row.begin, "first frame begins at 0")
        need(0 < row.length and row.skip + row.length <= row.raw <= FRAME_MAX, "length of frame")
        end = row.begin + row.length
        need(end <= self.d["stream_bytes"], "frame behind the end of the stream")
        need(row.segment < self.d["segments"], "segment of frame")
        row.check = r.take(0 if self.st.enc else 16)
        r.end()
        return row

    @staticmethod
    def follows(row, before):
        """whether a row may come after another, or be the first"""
        end = before.begin + before.length if before else 0
        need(row.begin >= end, "frames overlap")
        if row.stretch or before and before.stretch:
            return
        left_out = row.number - before.number - 1 if before else row.number
        need(left_out >= 0 and row.begin >= end + left_out, "frames overlap")
        need(left_out or row.begin == end, "frame begins where the one before it ends")

    def rows(self):
        """All rows of the table in order, each checked against the one before it."""
        before = None
        for key, value, rank in self.frames_run():
            row = self.row(key, value, rank)
            self.follows(row, before)
            before = row
            yield row
        end = before.begin + before.length if before else 0
        need(self.gen or end == self.d["stream_bytes"], "frames end where the stream does")

    def segment_bytes(self, segment):
        return os.path.getsize(self.st.path("%s/segments/%s" % (self.base, num(segment))))

    def read_row(self, row):
        key = (self.serial, row.number)
        if key in self.cache:
            self.cache.move_to_end(key)
            need(len(self.cache[key]) == row.raw, "bytes of frame")
            return self.cache[key]
        name = "%s/segments/%s" % (self.base, num(row.segment))
        raw = self.st.pread(name, row.offset, row.stored)
        if self.st.enc:
            out = self.st.sealed(raw, self.id, 0, row.number)
        else:
            out = self.st.bare(raw, self.id, row.number, self.comp, row.raw, row.check)
        need(len(out) == row.raw, "bytes of frame")
        self.cache[key] = out
        while sum(map(len, self.cache.values())) > 128 << 20 and len(self.cache) > 1:
            self.cache.popitem(False)
        return out

    def frame_(self, pos):
        need(pos < self.d["stream_bytes"], "place behind the end of the stream")
        run = self.frames_run()
        f = run.floor(pos.to_bytes(8, "big"))
        need(f, "no frame for %d" % pos)
        row = self.row(*f)
        need(pos < row.begin + row.length, "no frame holds %d of level %d" % (pos, self.serial))
        if f[2]:
            self.follows(row, self.row(*run.at(f[2] - 1), f[2] - 1))
        return row.begin, self.read_row(row)[row.skip : row.skip + row.length]

    def read(self, pos, n):
        while n:
            b, data = self.frame(pos)
            part = data[pos - b : pos - b + n]
            yield part
            pos += len(part)
            n -= len(part)
