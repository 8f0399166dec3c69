#!/usr/bin/env python3
"""An independent decoder of Freezer stores, written from docs/format.md and docs/format/*.md alone.

    decoder.py STORE list                       all points in time
    decoder.py STORE ls    HOST/NAME[@ID]       the whole tree, one line an entry
    decoder.py STORE dump  HOST/NAME[@ID]       the whole tree as JSON lines, with SHA-256 of contents
    decoder.py STORE x     HOST/NAME[@ID] DIR   extract into DIR (made; must not exist or be empty)
    decoder.py STORE verify HOST/NAME[@ID]      checks what no reader needs: live ranges, signatures (one block in 37), head, parent
    decoder.py STORE tar   HOST/NAME ID         the raw tar stream of a level to standard output
    --pass-file FILE
ID: an id or the beginning of one, or serial=N; left out: the newest.
"""
import sys, os, json, base64, struct, hashlib, hmac, bisect, zlib, bz2, lzma, re, argparse, stat, errno
from collections import OrderedDict


class Bad(Exception):
    pass


def need(c, what):
    if not c:
        raise Bad(what)


FRAME_MAX = 64 << 20
NODE_MAX = 64 << 20
ROOT_MAX = 64 << 10
KEY_MAX = 32000
COMP = {"none": 0, "gzip": 1, "zlib": 1, "bzip2": 2, "xz": 3, "zstd": 4}
ID_RE = re.compile(r"^\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}$")


# ---------------------------------------------------------------- numbers
class R:
    def __init__(self, b, p=0, e=None):
        self.b, self.p, self.e = b, p, len(b) if e is None else e

    def take(self, n):
        need(n <= self.e - self.p, "short")
        r = self.b[self.p : self.p + n]
        self.p += n
        return bytes(r)

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def u64(self):
        return int.from_bytes(self.take(8), "big")

    def i64(self):
        return int.from_bytes(self.take(8), "big", signed=True)

    def varint(self, lim=1 << 64):
        v = sh = 0
        while True:
            c = self.u8()
            v |= (c & 127) << sh
            sh += 7
            if c < 128:
                need(c or sh == 7, "varint not shortest")
                need(v < lim, "varint too large")
                return v
            need(sh < 70, "varint too long")

    def diff(self, base):
        z = self.varint()
        d = z >> 1 if z & 1 == 0 else -((z + 1) >> 1)
        return (base + d) % (1 << 64)

    def sized(self):
        return self.take(self.varint())

    def end(self):
        need(self.p == self.e, "bytes behind the end")


def b64(t):
    need(isinstance(t, str), "not base64")
    return base64.b64decode(t, validate=True)


# ---------------------------------------------------------------- compression
def inflate(comp, data, n):
    """exactly n bytes or an error; never more memory than about n"""
    try:
        if comp == 0:
            out = data
        elif comp == 1:
            d = zlib.decompressobj(31)
            out = d.decompress(data, n + 1)
            need(d.eof and not d.unused_data, "gzip: not one member")
        elif comp == 2:
            d = bz2.BZ2Decompressor()
            out = d.decompress(data, n + 1)
            while not d.eof and len(out) <= n and not d.needs_input:
                out += d.decompress(b"", n + 1 - len(out))
            if not d.eof:
                out += d.decompress(b"", 1)
            need(d.eof and not d.unused_data, "bzip2: not one stream")
        elif comp == 3:
            d = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 << 20)
            out = d.decompress(data, n + 1)
            while not d.eof and len(out) <= n and not d.needs_input:
                out += d.decompress(b"", n + 1 - len(out))
            need(d.eof and not d.unused_data, "xz: not one stream")
        elif comp == 4:
            import zstandard

            d = zstandard.ZstdDecompressor(max_window_size=128 << 20)
            with d.stream_reader(data, read_across_frames=False) as r:
                out = r.read(n + 1)  # never more: a bomb
            d = d.decompressobj()
            if len(out) <= n:
                d.decompress(data)
                need(d.eof and not d.unused_data, "zstd: not one frame")
        else:
            raise Bad("unknown compression %d" % comp)
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as e:
        raise Bad("decompress: %s" % e)
    except Bad:
        raise
    except Exception as e:
        raise Bad("decompress: %r" % e)
    need(len(out) == n, "length before compression: %d, header says %d" % (len(out), n))
    return out


# ---------------------------------------------------------------- store
def esc(text):
    b = text if isinstance(text, bytes) else text.encode()
    ok = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+=@,~"

    def part(i, c):
        return "%%%02X" % c if c not in ok or (c == 46 and i in (0, len(b) - 1)) else chr(c)

    parts = [part(i, c) for i, c in enumerate(b)]
    if sum(map(len, parts)) <= 200:
        return "".join(parts)
    s = ""
    for p in parts:
        if len(s) + len(p) > 160:
            break
        s += p
    return s + "%~" + hashlib.sha256(b).hexdigest()[:32]


def num(n):
    return "%08d" % n if n < 100000000 else "A%010d" % n


class Store:
    def __init__(self, root, passphrase=None):
        self.root = os.fsencode(root)
        c = json.loads(self.get("freezer.json"))
        need(
            c.get("format") == "freezer store" and c.get("version") == 1, "not a store of version 1"
        )
        self.idtext = c["id"]
        need(re.fullmatch("[0-9a-f]{32}", self.idtext), "store id")
        self.id = bytes.fromhex(self.idtext)
        self.cipher = c["cipher"]
        need(self.cipher in ("none", "aes-256-cfb+hmac-sha256"), "unknown cipher")
        self.enc = self.cipher != "none"
        self.ek = self.ak = None
        if self.enc:
            self.unlock(passphrase)

    def path(self, name):
        return os.path.join(self.root, os.fsencode(name))

    def get(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def pread(self, name, off, n):
        with open(self.path(name), "rb") as f:
            f.seek(off)
            r = f.read(n)
        need(len(r) == n, "object %s ends early" % name)
        return r

    def ls(self, name):
        try:
            return sorted(os.fsdecode(x) for x in os.listdir(self.path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def unlock(self, pw):
        from argon2.low_level import hash_secret_raw, Type
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        from cryptography.hazmat.primitives import hashes

        need(pw is not None, "the store is encrypted: --pass-file")
        why = "no keys"
        for k in self.ls("keys"):
            try:
                d = json.loads(self.get("keys/" + k))
                need(
                    d["version"] == 1
                    and d["store"] == self.idtext
                    and d["kdf"] == "argon2id"
                    and k == d["id"] + ".json",
                    "key document",
                )
                c = d["cost"]
                salt, iv, wr, tag = (b64(d[x]) for x in ("salt", "iv", "wrapped", "tag"))
                need((len(salt), len(iv), len(wr), len(tag)) == (16, 16, 32, 32), "lengths in key")
                need(
                    c["memory_kib"] <= 4 << 20 and c["passes"] <= 1000 and c["lanes"] <= 64,
                    "cost of the key is absurd",
                )
                kk = hash_secret_raw(
                    pw,
                    salt,
                    time_cost=c["passes"],
                    memory_cost=c["memory_kib"],
                    parallelism=c["lanes"],
                    hash_len=64,
                    type=Type.ID,
                    version=0x13,
                )
                t = hmac.new(
                    kk[32:], b"freezer-key-1\0" + self.id + iv + wr + d["id"].encode(), "sha256"
                ).digest()
                need(hmac.compare_digest(t, tag), "passphrase does not fit")
                self.master = self.aes(kk[:32], iv, wr)
                h = lambda info: HKDF(
                    algorithm=hashes.SHA256(), length=32, salt=self.id, info=info
                ).derive(self.master)
                self.ek = h(b"freezer frame encryption 1")
                self.ak = h(b"freezer frame authentication 1")
                return
            except (Bad, KeyError, ValueError) as e:
                why = "%s: %s" % (k, e)
        raise Bad("no key opens: " + why)

    def aes(self, key, iv, data):
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

        try:
            from cryptography.hazmat.decrepit.ciphers.modes import CFB
        except ImportError:
            from cryptography.hazmat.primitives.ciphers.modes import CFB
        d = Cipher(algorithms.AES(key), CFB(iv)).decryptor()
        return d.update(data) + d.finalize()

    def tag(self, lid, header, payload):
        m = (b"freezer-frame-1\0", self.id, lid.encode(), header, payload)
        h = hmac.new(self.ak, None, "sha256") if self.enc else hashlib.sha256()
        for x in m:
            h.update(x)
        return h.digest()

    def sealed(self, raw, lid, lane, number):
        need(len(raw) >= 72, "frame is short")
        hd = raw[:40]
        need(hd[:4] == b"FzF1", "magic of frame")
        ln, comp, ciph, zero = hd[4:8]
        no, plain, n = struct.unpack("<QII", hd[8:24])
        iv = hd[24:40]
        need(len(raw) == 72 + n, "length of frame: %d, header says %d" % (len(raw), 72 + n))
        payload = raw[40 : 40 + n]
        need(hmac.compare_digest(self.tag(lid, hd, payload), raw[40 + n :]), "tag of frame")
        need(zero == 0, "byte 7")
        need(ln == lane, "lane %d, not %d" % (ln, lane))
        need(no == number, "frame number %d, not %d" % (no, number))
        need(ciph == (1 if self.enc else 0), "cipher of frame")
        need(plain <= FRAME_MAX, "frame too long")
        if ciph:
            payload = self.aes(self.ek, iv, payload)
        else:
            need(iv == bytes(16), "IV")
        return inflate(comp, payload, plain)

    def bare(self, raw, lid, number, comp, plain, check):
        hd = (
            b"FzF1"
            + bytes([0, comp, 0, 0])
            + struct.pack("<QII", number, plain, len(raw))
            + bytes(16)
        )
        need(self.tag(lid, hd, raw)[:16] == check, "checksum of frame")
        return inflate(comp, raw, plain)

    # -- manifests
    def backups(self):
        for h in self.ls("manifests"):
            for n in self.ls("manifests/" + h):
                yield h, n

    def manifest(self, h, n, lid):
        need(ID_RE.match(lid), "id of a level")
        raw = self.get("manifests/%s/%s/%s" % (h, n, lid))
        m = json.loads(self.sealed(raw, lid, 3, 0))
        need(m["version"] == 1, "version of manifest")
        need(m["store"] == self.idtext, "store of manifest")
        need(
            m["id"] == lid and esc(m["host"]) == h and esc(m["name"]) == n,
            "manifest in a wrong place",
        )
        m["digest"] = hashlib.sha256(raw).hexdigest()
        return m


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
        ns = [x for x in self.st.ls(self.base + "/repacked")]
        ns = sorted((int(x.lstrip("A")), x) for x in ns)
        if not ns or ns[-1][0] <= self.gen:
            return False
        no, name = ns[-1]
        j = json.loads(self.st.sealed(self.st.get(self.base + "/repacked/" + name), self.id, 5, no))
        need(j["version"] in (1, 2) and not j.get("requires") and j["level"] == self.id and j["number"] == no, "repacked object")
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

    def row(self, k, v):
        need(len(k) == 8, "key of frame")
        r = R(v)
        kind = r.u8()
        need(kind in (1, 2), "kind of frame row")
        t = (
            int.from_bytes(k, "big"),
            r.varint(),
            r.varint(1 << 32),
            r.varint(1 << 32),
            r.varint(),
            r.varint(1 << 32),
        )
        need(t[2] > 0, "empty frame")
        whole, skip = (r.varint(1 << 32), r.varint(1 << 32)) if kind == 2 else (t[2], 0)
        need(skip + t[2] <= whole, "stretch of frame")
        ck = r.take(0 if self.st.enc else 16)
        r.end()
        return t + (ck, whole, skip)

    def read_row(self, t):
        b, no, n, seg, off, ln, ck, whole, skip = t
        key = (self.serial, no)
        if key in self.cache:
            self.cache.move_to_end(key)
            return self.cache[key][skip : skip + n]
        raw = self.st.pread("%s/segments/%s" % (self.base, num(seg)), off, ln)
        out = (
            self.st.sealed(raw, self.id, 0, no)
            if self.st.enc
            else self.st.bare(raw, self.id, no, self.comp, whole, ck)
        )
        need(len(out) == whole, "bytes of frame")
        self.cache[key] = out
        while sum(map(len, self.cache.values())) > 128 << 20 and len(self.cache) > 1:
            self.cache.popitem(False)
        return out[skip : skip + n]

    def frame_(self, pos):
        need(pos < self.d["stream_bytes"], "place behind the end of the stream")
        f = self.frames_run().floor(pos.to_bytes(8, "big"))
        need(f, "no frame for %d" % pos)
        t = self.row(f[0], f[1])
        need(pos < t[0] + t[2], "no frame holds %d of level %d" % (pos, self.serial))
        if not self.gen:
            need(t[1] == f[2], "number of frame is not its rank")
        return t[0], self.read_row(t)

    def read(self, pos, n):
        while n:
            b, data = self.frame(pos)
            part = data[pos - b : pos - b + n]
            yield part
            pos += len(part)
            n -= len(part)


# ---------------------------------------------------------------- entries
class E:
    pass


KIND = "-dlcbp"


def extensions(r, e):
    last = -1
    need(r.p < r.e, "no extensions")
    while r.p < r.e:
        number, v = r.varint(), R(r.sized())
        need(number > last, "extensions sorted")
        last = number
        if number == 2:
            e.hash = v.take(20)
        elif number == 4:
            need(e.first is None, "two first names")
            e.first = (v.varint(), v.varint(1 << 34))
        elif number == 6:
            need(v.varint(1 << 32), "no inode flags")
        elif number == 8:
            v.diff(0), v.diff(0)
        else:
            need(number % 2 == 0, "critical extension %d" % number)
            continue
        v.end()


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
    e.first = (None, r.varint()) if f & 8 else None
    e.hash = None
    if f & 64:
        extensions(R(r.sized()), e)
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
                    need(v in (b"\1\6", b"\2\6"), "value of a subtree key")
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
        """walk, with the checks of a tree and hard links resolved: yields comps, entry, comps of the first name or None"""
        dirs, firsts, root = set(), {}, False
        oldest = len(self.runs) - 1
        for comps, e, i, rank, k in self.walk():
            if not comps:
                need(e.kind == 1, "root is no directory")
                root = True
            else:
                need(
                    root and tuple(comps[:-1]) in dirs,
                    "%r: what it is in is no directory" % b"/".join(comps),
                )
            if e.kind == 1:
                dirs.add(tuple(comps))
            link = None
            if e.first is not None:
                run, first = e.first
                if run is None:
                    need(first < rank, "rank of first name")
                    record = (oldest - i, first)
                else:
                    need(run < oldest - i, "run of first name")
                    record = (run, first)
                link = firsts.get(record)
                if link is not None:
                    need(
                        (link[1].kind, link[1].ino, link[1].dev, link[1].size, link[1].ext)
                        == (e.kind, e.ino, e.dev, e.size, e.ext),
                        "names of one file differ",
                    )
                    link = link[0]
            if e.kind != 1:
                record = (oldest - i, rank) if e.first is None else record
                firsts.setdefault(record, (comps, e))
            yield comps, e, link
        need(root, "no root")

    def content(self, e):
        """(place in the file, bytes)"""
        for p, l, t, n in e.ext:
            lv = self.levels.get(l)
            need(lv, "extent in a level that is not named: %d" % l)
            need(t + n <= lv.d["stream_bytes"], "extent behind the end of the stream")
            for part in lv.read(t, n):
                yield p, part
                p += len(part)


# ---------------------------------------------------------------- what no reader needs: live ranges, signatures, head, parent
def live_ranges(t):
    r, at, out = R(b64(t)), 0, []
    while r.p < r.e:
        g, n = r.varint(), r.varint()
        need(n and (g or not out), "live: a zero")
        at += g
        out.append((at * 512, (at + n) * 512))
        at += n
    return out


def verify(st, h, n, m, pt, say):
    live = {d["serial"]: live_ranges(d["live"]) if "live" in d else None for d in m["levels"]}

    def inside(l, a, b, what):
        q = live[l]
        if q is None:
            return
        i = bisect.bisect_right(q, (a, 1 << 70)) - 1
        need(
            i >= 0 and q[i][0] <= a and b <= q[i][1],
            "%s %d..%d of level %d is not live" % (what, a, b, l),
        )

    for l, q in live.items():
        if q:
            need(
                q[-1][1] <= -(-pt.levels[l].d["stream_bytes"] // 512) * 512,
                "live behind the end of the stream",
            )
    need("live" not in m["levels"][0], "live of its own level")
    c = dict(entries=0, extents=0, signatures=0, blocks=0, checked=0)
    import blake3

    for comps, e, link in pt.tree():
        c["entries"] += 1
        for p, l, t, q in e.ext:
            c["extents"] += 1
            inside(l, t, t + q, "extent of %r" % comps)
        for l, t, q in e.sig:
            inside(l, t, t + q, "signature of %r" % comps)
            b = b"".join(pt.levels[l].read(t, q))
            c["signatures"] += 1
            need(b[:4] == b"FzS1", "magic of signature")
            bl, nr, nb = struct.unpack("<IQQ", b[4:24])
            key = b[24:56]
            need(1 <= bl <= 1 << 30 and len(b) == 56 + 16 * nr + 24 * nb, "length of signature")
            o = 56 + 16 * nr
            end = 0
            for i in range(nr):
                at, ln = struct.unpack("<QQ", b[56 + 16 * i : 72 + 16 * i])
                need(ln and at >= end, "runs of signature")
                end = at + ln

                try:
                    data = b"".join(pt.levels[l].read(at, ln))
                except (Bad, FileNotFoundError):
                    o += 24 * -(-ln // bl)
                    c["gone"] = c.get("gone", 0) + 1
                    continue  # dropped by a repack: not live
                for j in range(0, ln, bl):
                    x = data[j : j + bl]
                    c["blocks"] += 1
                    if c["blocks"] % 37 == 1:
                        c["checked"] += 1
                        P = sum(x) & 0xFFFFFFFF
                        w = sum((len(x) - i) * v for i, v in enumerate(x)) & 0xFFFFFFFF
                        need(
                            struct.unpack("<I", b[o : o + 4])[0]
                            == w ^ ((P << 16 | P >> 16) & 0xFFFFFFFF),
                            "weak sum",
                        )
                        need(
                            blake3.blake3(x, key=key).digest(20) == b[o + 4 : o + 24], "strong sum"
                        )
                    o += 24
            need(o == len(b), "behind the last sum")
    for d, r in zip(m["index"], pt.runs):
        for hd in d["head"]:
            no, raw = (hd["number"], hd["node"]) if isinstance(hd, dict) else hd
            raw = b64(raw) if isinstance(raw, str) else raw
            found = []

            def go(nd):
                if nd[0]:
                    cc = child(nd[2][0])
                    b = r.fetch(*cc[:4])
                    if cc[0] == no:
                        found.append(b == raw)
                    go(node(b, nd[0] - 1))

            go(r.root)
            need(found == [True], "head block %d" % no)
    if m["parent"]:
        try:
            need(
                st.manifest(h, n, m["parent"]["id"])["digest"] == m["parent"]["digest"],
                "digest of parent",
            )
        except FileNotFoundError:
            say("parent %s is gone" % m["parent"]["id"])
    say(m["id"], "serial", m["serial"], c)


# ---------------------------------------------------------------- commands
def choose(st, spec):
    hn, _, at = spec.partition("@")
    h, n = hn.split("/", 1)
    h, n = esc(h), esc(n)
    ids = [x for x in st.ls("manifests/%s/%s" % (h, n)) if ID_RE.match(x)]
    need(ids, "no such backup: %s" % spec)
    if at.startswith("serial="):
        for i in ids:
            m = st.manifest(h, n, i)
            if m["serial"] == int(at[7:]):
                return h, n, m
        raise Bad("no such serial")
    ids = [i for i in ids if i.startswith(at)]
    need(ids, "no such point in time")
    return h, n, st.manifest(h, n, ids[-1])


def sha_content(pt, e):
    h, pos, z = hashlib.sha256(), 0, bytes(1 << 16)

    def zeros(k):
        while k:
            h.update(z[: min(k, len(z))])
            k -= min(k, len(z))

    for p, d in pt.content(e):
        zeros(p - pos)
        h.update(d)
        pos = p + len(d)
    zeros(e.size - pos)
    return h.hexdigest()


def extract(pt, target, err):
    tb = os.fsencode(target)
    os.makedirs(tb, exist_ok=True)
    need(not os.listdir(tb), "target is not empty")
    later, bad = [], 0

    def meta(p, e):
        os.lchown(p, e.uid, e.gid)
        if e.kind != 2:
            os.chmod(p, e.mode)
        for a, v in e.xattrs:
            try:
                os.setxattr(p, a, v, follow_symlinks=False)
            except OSError as x:
                err("%r: xattr %r: %s" % (p, a, x))
        os.utime(p, ns=(e.mtime * 10**9 + e.mns,) * 2, follow_symlinks=False)

    for comps, e, link in pt.tree():
        p = os.path.join(tb, *comps) if comps else tb
        try:
            if link is not None:
                os.link(os.path.join(tb, *link), p, follow_symlinks=False)
                continue
            if e.kind == 1:
                if comps:
                    os.mkdir(p, 0o700)
                later.append((p, e))
                continue
            if e.kind == 0:
                with open(p, "xb") as f:
                    for at, d in pt.content(e):
                        f.seek(at)
                        f.write(d)
                    f.truncate(e.size)
            elif e.kind == 2:
                os.symlink(e.target, p)
            else:
                os.mknod(
                    p,
                    {3: stat.S_IFCHR, 4: stat.S_IFBLK, 5: stat.S_IFIFO}[e.kind] | 0o600,
                    os.makedev(*e.rdev) if e.rdev else 0,
                )
            meta(p, e)
        except (Bad, OSError, OverflowError) as x:
            bad += 1
            err("%r: %s" % (p, x))
    for p, e in reversed(later):
        meta(p, e)
    return bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--pass-file")
    ap.add_argument("store")
    ap.add_argument("cmd")
    ap.add_argument("arg", nargs="*")
    a = ap.parse_args()
    pw = None
    if a.pass_file:
        pw = open(a.pass_file, "rb").read().split(b"\n")[0].rstrip(b"\r")
    st = Store(a.store, pw)
    if a.cmd == "list":
        for h, n in st.backups():
            for i in st.ls("manifests/%s/%s" % (h, n)):
                try:
                    m = st.manifest(h, n, i)
                    p = m["parent"]
                    print(
                        m["host"] + "/" + m["name"],
                        i,
                        "serial",
                        m["serial"],
                        "level",
                        m["level"],
                        "runs",
                        len(m["index"]),
                        "leans on",
                        [l["serial"] for l in m["levels"]],
                        m["engine"],
                        sep="  ",
                    )
                except Exception as x:
                    print(h + "/" + n, i, "UNREADABLE: %s" % x, sep="  ")
        return
    if a.cmd == "manifest":
        h, n, m = choose(st, a.arg[0])
        print(json.dumps(m, indent=1))
        return
    h, n, m = choose(st, a.arg[0])
    pt = Point(st, h, n, m)
    out = sys.stdout
    if a.cmd == "ls":
        for comps, e, link in pt.tree():
            print(
                "%s%04o %d:%d %d %d.%09d %s%s"
                % (
                    KIND[e.kind],
                    e.mode,
                    e.uid,
                    e.gid,
                    e.size,
                    e.mtime,
                    e.mns,
                    os.fsdecode(b"/".join(comps))
                    .encode("unicode_escape", "surrogateescape")
                    .decode()
                    or ".",
                    " = " + os.fsdecode(b"/".join(link)) if link else "",
                )
            )
    elif a.cmd == "dump":
        s = lambda b: b.decode("latin-1")
        for comps, e, link in pt.tree():
            print(
                json.dumps(
                    {
                        "path": s(b"/".join(comps)),
                        "kind": KIND[e.kind],
                        "mode": e.mode,
                        "uid": e.uid,
                        "gid": e.gid,
                        "uname": s(e.uname),
                        "gname": s(e.gname),
                        "mtime": [e.mtime, e.mns],
                        "ctime": [e.ctime, e.cns],
                        "dev": e.dev,
                        "ino": e.ino,
                        "nlink": e.nlink,
                        "size": e.size,
                        "blocks": e.blocks,
                        "target": s(e.target or b""),
                        "rdev": e.rdev,
                        "xattrs": [[s(x), s(y)] for x, y in e.xattrs],
                        "first": s(b"/".join(link)) if link else None,
                        "extents": len(e.ext),
                        "sha256": sha_content(pt, e) if e.kind == 0 else None,
                    }
                )
            )
    elif a.cmd == "x":
        bad = extract(pt, a.arg[1], lambda t: print("decoder:", t, file=sys.stderr))
        sys.exit(3 if bad else 0)
    elif a.cmd == "verify":
        verify(st, h, n, m, pt, print)
    elif a.cmd == "tar":
        lv = pt.levels[m["serial"]]
        pos = 0
        while pos < lv.d["stream_bytes"]:
            b, d = lv.frame(pos)
            need(b == pos, "frames do not cover the stream")
            out.buffer.write(d)
            pos += len(d)
    else:
        sys.exit("unknown command")


if __name__ == "__main__":
    try:
        main()
    except (Bad, OSError) as e:
        print("decoder: %s" % e, file=sys.stderr)
        sys.exit(1)
