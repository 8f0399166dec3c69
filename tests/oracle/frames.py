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


def lines(texts):
    return "".join(t + "\n" for t in texts).encode()


class Store:
    """A store of version 1 or 2. keys: for each epoch, the keys that encrypt and authenticate."""

    def __init__(self, root, passphrase=None):
        self.root = os.fsencode(root)
        self.keys, self.name_key, self.hash_key = [], None, None
        c = self.identity()
        self.idtext, self.version = c["id"], c["version"]
        self.id = bytes.fromhex(self.idtext)
        self.cipher = c["cipher"]
        need(self.cipher in ("none", "aes-256-cfb+hmac-sha256"), "unknown cipher")
        self.enc = self.cipher != "none"
        if self.enc:
            slot_version = self.unlock(passphrase)
            need(slot_version <= self.version, "identity is older than the key document")
        if self.version == 2:
            self.check_tag(c)
            if "hidden-names" in c["requires"]:
                need(self.enc, "hidden names without encryption")
                self.name_key = self.derive(self.masters[0], b"freezer names 2")
        if self.enc:
            self.hash_key = self.derive(self.masters[0], b"freezer content hash 2")

    def identity(self):
        """freezer.json, or its copy where that is missing or is no identity"""
        why = []
        for name in ("freezer.json", "freezer-copy.json"):
            try:
                c = json.loads(self.get(name))
                need(c["format"] == "freezer store", "format of store")
                need(re.fullmatch("[0-9a-f]{32}", c["id"]), "store id")
            except (OSError, Bad, KeyError, TypeError, ValueError) as e:
                why.append("%s: %r" % (name, e))
                continue
            need(c["version"] in (1, 2), "version of store")
            unknown = set(c.get("requires", [])) - {"hidden-names"}
            need(not unknown, "store requires %s" % sorted(unknown))
            return c
        raise Bad("no store: " + "; ".join(why))

    def check_tag(self, c):
        epoch = c["epoch"]
        body = lines([c["cipher"], c["created"], *c["requires"], "", *c["allows"]])
        data = b"freezer-store-2\0" + self.id + bytes([epoch]) + body
        if self.enc:
            need(1 <= epoch <= len(self.keys), "epoch of identity")
            tag = hmac.new(self.keys[epoch - 1][1], data, "sha256").digest()
        else:
            need(epoch == 0, "epoch of identity")
            tag = hashlib.sha256(data).digest()
        need(hmac.compare_digest(tag, b64(c["tag"])), "tag of identity")

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
        need(pw is not None, "the store is encrypted: --pass-file")
        found, why = [], "no keys"
        for k in self.ls("keys"):
            try:
                found.append(self.open_slot(k, json.loads(self.get("keys/" + k)), pw))
            except (Bad, KeyError, TypeError, ValueError) as e:
                why = "%s: %s" % (k, e)
        need(found, "no key opens: " + why)
        version, self.masters = max(found, key=lambda slot: len(slot[1]))
        for master in self.masters:
            encryption = self.derive(master, b"freezer frame encryption 1")
            self.keys.append((encryption, self.derive(master, b"freezer frame authentication 1")))
        return version

    def open_slot(self, name, d, pw):
        """version of a key document, and the master keys of all its epochs"""
        from argon2.low_level import Type, hash_secret_raw

        need(d["version"] in (1, 2) and d["kdf"] == "argon2id", "version of key")
        need(d["store"] == self.idtext and name == d["id"] + ".json", "place of key")
        epoch = d["epoch"] if d["version"] == 2 else 1
        need(isinstance(epoch, int) and 1 <= epoch <= 255, "epoch of key")
        c = d["cost"]
        memory, passes, lanes = c["memory_kib"], c["passes"], c["lanes"]
        need(memory <= 256 << 10 and memory * passes <= 2 << 20 and lanes <= 16, "cost of key")
        salt, iv, wrapped, tag = (b64(d[x]) for x in ("salt", "iv", "wrapped", "tag"))
        lengths = tuple(map(len, (salt, iv, wrapped, tag)))
        need(lengths == (16, 16, 32 * epoch, 32), "lengths in key")
        kk = hash_secret_raw(pw, salt, passes, memory, lanes, 64, Type.ID, 0x13)
        number = bytes([epoch]) if d["version"] == 2 else b""
        context = b"freezer-key-%d\0" % d["version"]
        data = context + self.id + number + iv + wrapped + d["id"].encode()
        right = hmac.new(kk[32:], data, "sha256").digest()
        need(hmac.compare_digest(right, tag), "passphrase does not fit")
        masters = self.aes(kk[:32], iv, wrapped)
        return d["version"], [masters[i : i + 32] for i in range(0, len(masters), 32)]

    def derive(self, master, info):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(algorithm=hashes.SHA256(), length=32, salt=self.id, info=info).derive(master)

    def aes(self, key, iv, data):
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

        try:
            from cryptography.hazmat.decrepit.ciphers.modes import CFB
        except ImportError:
            from cryptography.hazmat.primitives.ciphers.modes import CFB
        d = Cipher(algorithms.AES(key), CFB(iv)).decryptor()
        return d.update(data) + d.finalize()

    def tag(self, context, epoch, lid, header, payload):
        h = hmac.new(self.keys[epoch - 1][1], None, "sha256") if epoch else hashlib.sha256()
        for x in (context, self.id, lid.encode(), header, payload):
            h.update(x)
        return h.digest()

    def sealed(self, raw, lid, lane, number):
        need(len(raw) >= 72, "frame is short")
        hd = raw[:40]
        need(hd[:4] in (b"FzF1", b"FzF2"), "magic of frame")
        first = hd[:4] == b"FzF1"
        ln, comp, ciph, epoch = hd[4:8]
        need(not first or epoch == 0, "byte 7")
        epoch = 1 if first and self.enc else epoch
        need(1 <= epoch <= len(self.keys) if self.enc else epoch == 0, "epoch of frame")
        context = b"freezer-frame-1\0" if first else b"freezer-frame-2\0"
        no, plain, n = struct.unpack("<QII", hd[8:24])
        iv = hd[24:40]
        need(len(raw) == 72 + n, "length of frame: %d, header says %d" % (len(raw), 72 + n))
        payload = raw[40 : 40 + n]
        tag = self.tag(context, epoch, lid, hd, payload)
        need(hmac.compare_digest(tag, raw[40 + n :]), "tag of frame")
        need(ln == lane, "lane %d, not %d" % (ln, lane))
        need(no == number, "frame number %d, not %d" % (no, number))
        need(ciph == (1 if self.enc else 0), "cipher of frame")
        need(plain <= FRAME_MAX, "frame too long")
        if ciph:
            payload = self.aes(self.keys[epoch - 1][0], iv, payload)
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
        need(self.tag(b"freezer-frame-1\0", 0, lid, hd, raw)[:16] == check, "checksum of frame")
        return inflate(comp, raw, plain)

    def places(self, host, name):
        """where objects of a backup lie: under the names, or under what hides them"""
        h, n = esc(host), esc(name)
        yield h, n
        if self.name_key:
            hide = lambda t: "%~" + hmac.new(self.name_key, t.encode(), "sha256").hexdigest()[:32]
            yield hide("host\0" + h), hide("name\0" + h + "/" + n)

    # -- manifests
    def backups(self):
        for h in self.ls("manifests"):
            for n in self.ls("manifests/" + h):
                yield h, n

    def manifest(self, h, n, lid):
        need(ID_RE.match(lid), "id of a level")
        raw = self.get("manifests/%s/%s/%s" % (h, n, lid))
        m = json.loads(self.sealed(raw, lid, 3, 0))
        need(m["version"] in (1, 2), "version of manifest")
        need(not m.get("requires"), "manifest requires %s" % m.get("requires"))
        need(m["store"] == self.idtext, "store of manifest")
        here = (h, n) in self.places(m["host"], m["name"])
        need(m["id"] == lid and here, "manifest in a wrong place")
        m["digest"] = hashlib.sha256(raw).hexdigest()
        return m
