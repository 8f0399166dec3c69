"""Part of decoder.py: the store, its keys, and frames. Written from docs/format.md alone."""

import base64
import bz2
import hashlib
import hmac
import json
import lzma
import os
import re
import struct
import zlib


class Bad(Exception):
    pass


def need(c, what):
    if not c:
        raise Bad(what)


FRAME_MAX = 64 << 20
NODE_MAX = 64 << 20
ROOT_MAX = 64 << 10
KEY_MAX = 32000
COMP = {"none": 0, "gzip": 1, "bzip2": 2, "xz": 3, "zstd": 4}
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
                    c["memory_kib"] <= 256 << 10
                    and c["memory_kib"] * c["passes"] <= 2 << 20
                    and c["lanes"] <= 16,
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
