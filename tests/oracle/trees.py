"""Part of decoder.py: entries, and the trees of points in time, from docs/format/index.md alone."""

from collections import OrderedDict

from frames import Bad, R, need
from runs import Level, Run


# ---------------------------------------------------------------- entries
class E:
    pass


KIND = "-dlcbp"


def entry(v, serial_of_run):
    r = R(v)
    version = r.u8()
    need(version in (1, 2), "version of entry")
    e = E()
    e.kind = r.u8()
    if e.kind == 6:
        r.end()
        return None
    need(e.kind <= 5, "kind")
    f = e.flags = r.u8()
    need(f < 64 * version, "flags")
    need(not (f & 2 and f & 4), "flags 2 and 4")
    need(e.kind == 0 or not f & (2 | 4 | 32), "flags of kind")
    e.mode = r.varint()
    need(e.mode <= 0o7777, "mode")
    e.uid, e.gid = r.varint(1 << 32), r.varint(1 << 32)
    e.uname, e.gname = r.sized(), r.sized()
    e.dev, e.nlink = r.varint(), r.varint(1 << 32)
    lv = r.varint() if f & 2 else None
    e.mtime = r.i64()
    e.ctime = r.i64() if f & 1 else e.mtime
    e.ino = r.u64()
    at = r.u64() if f & 2 else None
    e.mns = r.u32()
    e.cns = r.u32() if f & 1 else e.mns
    need(e.mns < 10**9 and e.cns < 10**9, "nanoseconds")
    e.size = r.varint() if e.kind == 0 else 0
    e.target = r.sized() if e.kind == 2 else None
    if e.kind == 2:
        need(e.target and b"\0" not in e.target, "target")
    e.rdev = (r.varint(1 << 32), r.varint(1 << 32)) if e.kind in (3, 4) else None
    e.blocks = r.diff(8 * -(-e.size // 4096) if e.kind == 0 else 0)
    e.first = r.varint() if f & 8 else None
    e.more = extensions(r.sized(), e) if f & 64 else {}
    e.record, e.hash = e.more.get(4), e.more.get(2)
    need(e.first is None or e.record is None, "two common records")
    e.xattrs = []
    if f & 16:
        n = r.varint()
        need(n, "no xattrs")
        for _ in range(n):
            e.xattrs.append((r.sized(), r.sized()))
        need(all(a[0] < b[0] for a, b in zip(e.xattrs, e.xattrs[1:])), "xattrs sorted")
    e.ext = []
    if f & 2:
        need(e.size, "flag 2, size 0")
        e.ext = [(0, lv, at, e.size)]
    if f & 4:
        n = r.varint()
        need(n, "no extents")
        p = l = t = 0
        for _ in range(n):
            p += r.varint()
            l = r.diff(l)
            t = r.diff(t)
            q = r.varint()
            need(q, "empty extent")
            need(p + q <= e.size, "extent behind the end of the file")
            e.ext.append((p, l, t, q))
            p += q
            t = (t + q) % (1 << 64)
    need(
        not (f & 4 and len(e.ext) == 1 and e.ext[0][0] == 0 and e.ext[0][3] == e.size),
        "extents not in the shortest form",
    )
    need(not (f & 1 and (e.ctime, e.cns) == (e.mtime, e.mns)), "flag 1, but ctime is mtime")
    e.sig = []
    if f & 32:
        n = r.varint()
        need(n, "no signatures")
        l = 0
        for i in range(n):
            q = r.varint()
            need(i == 0 or q, "levels of signatures ascend")
            l += q
            e.sig.append((l, r.varint(), r.varint()))
            need(e.sig[-1][2], "empty signature")
    r.end()
    return e


def extensions(area, e):
    """types and values of the extensions of an entry"""
    r, found = R(area), {}
    need(area, "no extensions")
    while r.p < r.e:
        kind, value = r.varint(), r.sized()
        need(not found or kind > max(found), "extensions sorted")
        v = R(value)
        if kind == 2:
            need(len(value) == 20 and e.kind == 0 and e.size, "hash of content")
        elif kind == 4:
            value = (v.varint(), v.varint(1 << 34))
            v.end()
        elif kind == 6:
            need(v.varint(1 << 32), "inode flags")
            v.end()
        elif kind == 8:
            v.varint(), v.varint()
            v.end()
        found[kind] = value
    return found


def path_of(key):
    """key of a path -> (directory components, name); None for a subtree"""
    if key == b"":
        return [], None
    if key.endswith(b"\0"):
        return None
    parts = key.split(b"\0")
    name = parts[-1]
    d = parts[:-2]
    need(len(parts) >= 2 and parts[-2] == b"" and all(d), "form of key")
    for c in d + [name]:
        need(c not in (b"", b".", b"..") and b"/" not in c, "component of key")
    return d, name


def sub_of(key):
    p = key.split(b"\0")
    need(p[-1] == b"" and len(p) > 1 and all(p[:-1]), "form of subtree key")
    return p[:-1]


class Point:
    def __init__(self, st, h, n, m):
        self.st, self.m = st, m
        cache = OrderedDict()
        self.levels = {}
        for d in m["levels"]:
            need(d["serial"] not in self.levels, "level twice")
            self.levels[d["serial"]] = Level(st, h, n, d, cache)
        need(
            m["levels"]
            and m["levels"][0]["id"] == m["id"]
            and m["levels"][0]["serial"] == m["serial"],
            "first of levels is not itself",
        ) if m["levels"] else None
        need(1 <= len(m["index"]) <= 63, "number of runs")
        self.runs = []
        for d in m["index"]:  # newest first
            lv = self.levels.get(d["serial"])
            need(lv, "run in a level that is not named")
            self.runs.append(
                Run(
                    d["root"],
                    (lambda lv: lambda no, ob, off, ln: lv.block("index", 1, no, ob, off, ln))(lv),
                )
            )

    def walk(self):
        """(components, entry, run position, rank) in order of keys, merged"""
        its = [iter(r) for r in self.runs]
        heads = [next(i, None) for i in its]
        hidden = []  # (prefix key, run position): older runs count no more below the prefix
        oldest = len(self.runs) - 1
        seen_subs = [0] * len(self.runs)
        while True:
            ks = [h[0] for h in heads if h is not None]
            if not ks:
                break
            k = min(ks)
            who = [i for i, h in enumerate(heads) if h is not None and h[0] == k]
            win = None
            hidden = [x for x in hidden if k.startswith(x[0])]
            lim = min([x[1] for x in hidden], default=oldest)  # runs with position > lim are hidden
            for i in who:
                _, v, rank = heads[i]
                if k.endswith(b"\0"):
                    sub_of(k)
                    need(i != oldest, "gone in the oldest run")
                    need(v == b"\1\6", "value of a subtree key")
                    seen_subs[i] += 1
                    if i <= lim:
                        hidden.append((k, i))
                elif win is None and i <= lim:
                    win = (i, rank, v)
            for i in who:
                heads[i] = next(its[i], None)
            if win and not k.endswith(b"\0"):
                i, rank, v = win
                e = entry(v, None)
                if e is None:
                    need(i != oldest, "gone in the oldest run")
                    continue
                p = path_of(k)
                comps = p[0] + [p[1]] if p[1] is not None else []
                yield comps, e, i, rank, k
        for i, d in enumerate(self.m["index"]):
            need(
                seen_subs[i] == d["subtrees"],
                "subtrees of run: %d, manifest says %d" % (seen_subs[i], d["subtrees"]),
            )

    def tree(self):
        """walk, with the checks of a tree and names of one file found: (components, entry,
        components of the first of its names in this order, or None)"""
        dirs, names, root = set(), {}, False
        for comps, e, i, rank, k in self.walk():
            if not comps:
                need(e.kind == 1, "root is no directory")
                root = True
            else:
                inside = root and tuple(comps[:-1]) in dirs
                need(inside, "%r: what it is in is no directory" % b"/".join(comps))
            odd = [kind for kind in e.more if kind % 2]
            need(not odd, "%r: unknown critical extensions %s" % (b"/".join(comps), odd))
            if e.kind == 1:
                dirs.add(tuple(comps))
            place = self.common_record(e, i, rank)
            first = names.setdefault(place, comps) if e.kind != 1 else comps
            yield comps, e, first if first is not comps else None
        need(root, "no root")

    def common_record(self, e, i, rank):
        """run (from the oldest, which is 0) and rank of the common record of an entry"""
        run = len(self.runs) - 1 - i
        if e.record is None and e.first is None:
            return run, rank
        place = e.record or (run, e.first)
        need(place < (run, rank), "common record is not before its names")
        need(e.kind != 1, "a directory has several names")
        of = self.runs[len(self.runs) - 1 - place[0]]
        if place[1] >= of.n:
            return run, rank
        found = entry(of.at(place[1])[1], None)
        if found is None:
            return run, rank
        need((found.kind, found.size) == (e.kind, e.size), "names of one file differ")
        need(not (found.hash and e.hash) or found.hash == e.hash, "names of one file differ")
        return place

    def content(self, e):
        """(place in the file, bytes)"""
        for p, l, t, n in e.ext:
            lv = self.levels.get(l)
            need(lv, "extent in a level that is not named: %d" % l)
            need(t + n <= lv.d["stream_bytes"], "extent behind the end of the stream")
            for part in lv.read(t, n):
                yield p, part
                p += len(part)
