#!/usr/bin/env python3
"""Reads a Freezer store without Freezer, and writes what it holds as a tar stream.

  freezer-rescue.py STORE                                  list the points in time
  freezer-rescue.py STORE HOST/NAME --tree > tree.tar      all of the newest point in time
  freezer-rescue.py STORE HOST/NAME/LEVEL --tree | tar x   all of a certain one
  freezer-rescue.py STORE HOST/NAME/LEVEL > level.tar      the raw stream of a level: only what was
                                                           new in it, if it is not level 0

It ends with 0 when everything was written and every byte was checked, with 1 when it stopped, and
with 3 when --keep-going went on past damage, which it names.

Needs Python 3.9 or newer; for zstd the program zstd or the Python package zstandard. A store with
a passphrase also needs the package cryptography, and for Argon2 one of: cryptography 44 or newer,
the package argon2-cffi, the library libargon2. The README beside this file says how to get them.
The numbers in comments are sections of docs/format.md; letters are rules of format/reading.md.
"""

import argparse, base64, bisect, bz2, collections, ctypes, ctypes.util, getpass, hashlib, hmac
import json, lzma, os, re, stat, struct, subprocess, sys, tempfile
import urllib.parse, zlib

HEADER = struct.Struct(
    "<4sBBBBQII16s"
)  # 4: magic, lane, compression, cipher, 0, number, raw length, payload length, IV
TAG_BYTES, MAX_RAW_BYTES = 32, 64 << 20
MAX_STORED_BYTES = 80 << 20  # of a frame: what does not compress grows a little
MAX_ROOT_BYTES, MAX_KEY_BYTES, MAX_RUNS, RANK_BITS = 64 << 10, 32000, 63, 34
STREAM, INDEX, FRAMES, MANIFEST, REPACKED = 0, 1, 2, 3, 5  # 4: lanes
METHODS = {"none": 0, "gzip": 1, "bzip2": 2, "xz": 3, "zstd": 4}
NAMES = {number: name for name, number in METHODS.items()}
FILE, DIRECTORY, SYMLINK, CHARACTER, BLOCK, PIPE = range(6)
GONE = (b"\x01\x06", b"\x02\x06")
FILLER = b"[damaged: see freezer-rescue]\n"  # not zeros: to tar these are the end
DAMAGED = b".damaged-by-freezer-rescue"  # at the end of the name of a file that has filler in it
LEVEL = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}")
KEY = re.compile(r"[0-9a-f]{8}\.json")
NUMBER = re.compile(r"\d{8}|A\d{10}")
MAGICS = (b"FzF2", b"FzF1")
FEATURES = {"hidden-names"}  # 14: those of stores
ENCRYPTED = "aes-256-cfb+hmac-sha256"


class Refused(Exception):
    """Bytes that cannot be what they should be."""


def need(holds, what):
    if not holds:
        raise Refused(what)


def say(*words):
    text = " ".join(map(str, words))
    text = "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in text)
    print("freezer-rescue:", text.encode("utf-8", "replace").decode(), file=sys.stderr)


def shown(path):
    return os.fsdecode(path) if path else "."


# ---------------------------------------------------------------- keys: section 3
def argon2id(passphrase, salt, cost):
    memory, passes, lanes = (cost[name] for name in ("memory_kib", "passes", "lanes"))
    for value in (memory, passes, lanes):
        need(isinstance(value, int) and value > 0, "the cost of a key is not a number")
    # K: what more a document asks for is not a passphrase's cost, but an attack
    affordable = memory <= 256 << 10 and memory * passes <= 2 << 20 and lanes <= 16
    need(affordable, "a key asks for more memory or time than any key of Freezer")
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
        return argon2id_of_the_library(passphrase, salt, memory, passes, lanes)


def argon2id_of_the_library(passphrase, salt, memory, passes, lanes):
    found = ctypes.util.find_library("argon2")
    if not found:
        raise Refused(
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
    need(not result, "libargon2 refuses: error %d" % result)
    return out.raw


def aes_256_cfb_decrypt(key, iv, data):
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

        try:
            from cryptography.hazmat.decrepit.ciphers.modes import CFB
        except ImportError:
            from cryptography.hazmat.primitives.ciphers.modes import CFB
    except ImportError:
        raise Refused(
            "the Python package cryptography is missing: "
            "install python3-cryptography (Debian), or cryptography with pip"
        ) from None
    decryptor = Cipher(algorithms.AES(key), CFB(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def hkdf_sha256(master, salt, info):  # RFC 5869 with one block of output: 32 bytes
    prk = hmac.new(salt, master, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def base64_of(value, length=None):
    need(isinstance(value, str), "what should be base64 is no text")
    data = base64.b64decode(value, validate=True)
    need(length in (None, len(data)), "a field has %d bytes, not %s" % (len(data), length))
    return data


def unwrap(slot, name, store_id, passphrase):
    """The master keys of all epochs, or None if the slot is another passphrase's."""
    need(slot["version"] in (1, 2) and slot["kdf"] == "argon2id", "has a newer format")
    epoch = slot["epoch"] if slot["version"] == 2 else 1
    need(is_number(epoch) and 1 <= epoch <= 255, "has an epoch that is none")
    is_here = slot["store"] == store_id.hex() and slot["id"] + ".json" == name
    need(is_here, "belongs to another store, or has another name")
    salt, iv = base64_of(slot["salt"], 16), base64_of(slot["iv"], 16)
    wrapped, tag = base64_of(slot["wrapped"], 32 * epoch), base64_of(slot["tag"], 32)
    k = argon2id(passphrase, salt, slot["cost"])
    bound = b"freezer-key-1\0" + store_id + iv + wrapped + slot["id"].encode()
    if slot["version"] == 2:
        bound = b"freezer-key-2\0" + store_id + bytes([epoch]) + iv + wrapped + slot["id"].encode()
    want = hmac.new(k[32:], bound, hashlib.sha256).digest()
    if not hmac.compare_digest(want, tag):
        return None
    keys = aes_256_cfb_decrypt(k[:32], iv, wrapped)
    return [keys[at : at + 32] for at in range(0, len(keys), 32)]


def passphrase_of(pass_file):
    """The first line of the file, without its end; or what the user types."""
    if not pass_file:
        return os.fsencode(getpass.getpass("Passphrase: "))
    with open(pass_file, "rb") as f:
        line = f.read().split(b"\n")[0]
    return line[:-1] if line.endswith(b"\r") else line


# ---------------------------------------------------------------- compression: section 4
def one_zstd_frame(data):
    """Refuses what is not exactly one zstd frame: RFC 8878, section 3.1.1."""
    need(data[:4] == b"\x28\xb5\x2f\xfd" and len(data) > 5, "is no zstd frame")
    descriptor = data[4]
    single, has_sum = descriptor >> 5 & 1, descriptor >> 2 & 1
    size_of_size = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    at, last = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3] + size_of_size, False
    while not last:
        need(at + 3 <= len(data), "ends in a zstd frame")
        block = int.from_bytes(data[at : at + 3], "little")
        last, kind = block & 1, block >> 1 & 3
        at += 3 + (1 if kind == 1 else block >> 3)
    need(at + 4 * has_sum == len(data), "is not exactly one zstd frame")


def zstd_decompress(data, limit):
    """At most `limit` bytes of what comes out."""
    one_zstd_frame(data)
    try:
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=128 << 20)
        with decompressor.stream_reader(data) as reader:
            return read_to(reader, limit)
    except ImportError:
        pass
    with tempfile.TemporaryFile() as packed:
        packed.write(data)
        packed.seek(0)
        try:
            program = subprocess.Popen(
                ["zstd", "-dcq", "--memory=128MB"],
                stdin=packed,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            raise Refused("the program zstd is missing: install it") from None
        with program:
            out = read_to(program.stdout, limit)
            if len(out) == limit:
                program.kill()
                return out
        need(program.returncode == 0, "cannot be decompressed by zstd")
        return out


def read_to(reader, limit):
    pieces, left = [], limit
    while left:
        piece = reader.read(min(left, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def decompress(method, data, length):
    """Exactly `length` bytes, from exactly one compressed stream; never more memory than that."""
    need(length <= MAX_RAW_BYTES, "says that it is longer than a frame may be")
    if method == 0:
        out = data
    elif method == 4:
        try:
            out = zstd_decompress(data, length + 1)
        except (OSError, ValueError) as e:
            raise Refused("cannot be decompressed: %s" % e) from None
        except Exception as e:
            if type(e).__name__ != "ZstdError":
                raise
            raise Refused("cannot be decompressed: %s" % e) from None
    else:
        need(method in NAMES, "is compressed in a way that this script does not know")
        out = decompress_by_python(method, data, length)
    need(len(out) == length, "has another length than it says")
    return out


def decompress_by_python(method, data, length):
    if method == 1:
        stream = zlib.decompressobj(31)
    elif method == 2:
        stream = bz2.BZ2Decompressor()
    else:
        stream = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=512 << 20)
    try:
        out = stream.decompress(data, length + 1)
        # One byte more than there should be: where nothing comes, the stream is at its end.
        while not stream.eof and len(out) <= length:
            rest = stream.unconsumed_tail if method == 1 else b""
            more = stream.decompress(rest, length + 1 - len(out))
            if not more and not (stream.eof or rest):
                break
            out += more
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as e:
        raise Refused("cannot be decompressed: %s" % e) from None
    whole = stream.eof and not stream.unused_data
    need(whole or len(out) > length, "is not exactly one %s stream" % NAMES[method])
    return out


# ---------------------------------------------------------------- store: sections 1 and 2
class Store:
    def __init__(self, path, pass_file):
        self.path = path
        document, found = self.identity()
        self.id, self.keys = bytes.fromhex(document["id"]), []
        if document["cipher"] == ENCRYPTED:
            masters, slot_version = self.master_keys(pass_file)
            self.keys = [
                (
                    hkdf_sha256(master, self.id, b"freezer frame encryption 1"),
                    hkdf_sha256(master, self.id, b"freezer frame authentication 1"),
                )
                for master in masters
            ]
            need(slot_version <= document["version"], found + " is older than the store's keys")
        else:
            need(document["cipher"] == "none", "the store has a cipher that is not known")
        hides = "hidden-names" in document.get("requires", [])
        need(self.keys or not hides, "only an encrypted store hides names")
        self.name_key = hkdf_sha256(masters[0], self.id, b"freezer names 2") if hides else None
        self.hash_key = None
        if self.keys:
            self.hash_key = hkdf_sha256(masters[0], self.id, b"freezer content hash 2")
        need(self.vouches_for(document), found + " is not the one that the key vouches for")

    def identity(self):
        """The identity of the store: the first copy that can be used, and its name."""
        for name in ("freezer.json", "freezer-copy.json"):
            try:
                document = self.document(name)
                need(document["format"] == "freezer store", "%s is no store" % self.path)
                need(re.fullmatch("[0-9a-f]{32}", document["id"]), "the store's id is no id")
            except (OSError, Refused, KeyError, TypeError, ValueError) as e:
                say("%s cannot be used: %r" % (name, e))
                continue
            version = document["version"]
            need(version in (1, 2), "the store is of version %s: too new" % version)
            unknown = set(document.get("requires", [])) - FEATURES
            need(not unknown, "the store has features that are not known: %s" % sorted(unknown))
            return document, name
        raise Refused("%s is no store of Freezer" % self.path)

    def vouches_for(self, document):  # 2: the tag
        if document["version"] == 1:
            return True
        lines = [document["cipher"], document["created"], *document["requires"], ""]
        text = "".join(line + "\n" for line in lines + document["allows"]).encode()
        epoch = document["epoch"]
        bound = b"freezer-store-2\0" + self.id + bytes([epoch]) + text
        if not self.keys:
            right = hashlib.sha256(bound).digest()
        elif 1 <= epoch <= len(self.keys):
            right = hmac.new(self.keys[epoch - 1][1], bound, hashlib.sha256).digest()
        else:
            return False
        return hmac.compare_digest(right, base64_of(document["tag"]))

    def read(self, name, offset=0, length=None, limit=MAX_STORED_BYTES):
        """Bytes of an object. Waits for nothing: an object is a file, and no link."""
        path = os.path.join(self.path, name)
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as f:
            need(stat.S_ISREG(os.fstat(f.fileno()).st_mode), "%s is no file" % name)
            need(length is None or length <= limit, "%s has a frame that is too long" % name)
            f.seek(offset)
            data = f.read(limit + 1 if length is None else length)
        need(len(data) <= limit, "%s is too long" % name)
        need(length is None or len(data) == length, "%s is too short" % name)
        return data

    def document(self, name):
        document = json.loads(self.read(name, limit=1 << 20))
        need(isinstance(document, dict), "%s is no document of the format" % name)
        return document

    def listed(self, name):
        try:
            return sorted(os.listdir(os.path.join(self.path, name)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def master_keys(self, pass_file):
        passphrase, names = passphrase_of(pass_file), self.listed("keys")
        names = list(filter(KEY.fullmatch, names))
        found = []
        for name in names:
            try:
                slot = self.document("keys/" + name)
                masters = unwrap(slot, name, self.id, passphrase)
            except Refused as e:
                say("key %s: %s" % (name, e))
                continue
            except (KeyError, TypeError, ValueError) as e:
                say("key %s is not in the format: %r" % (name, e))
                continue
            if masters:
                found.append((masters, slot["version"]))
        if found:
            return max(found, key=lambda keys: len(keys[0]))
        raise Refused("wrong passphrase: it opens none of the %d keys" % len(names))

    def paths(self, host, name):  # 1: where the objects of a backup lie
        host, name = component(host), component(name)
        yield host + "/" + name
        if self.name_key:
            bound = b"name\0%s/%s" % (host.encode(), name.encode())
            yield self.hidden(b"host\0" + host.encode()) + "/" + self.hidden(bound)

    def shown(self, backup, levels):
        """HOST/NAME of a backup; what stands in names of objects where that is not hidden, or
        where no manifest can be read."""
        for of, level in levels if self.name_key else ():
            if of == backup:
                try:
                    m = self.manifest(backup, level)
                    return m["host"] + "/" + m["name"]
                except (Refused, OSError):
                    pass
        return backup

    def hidden(self, text):
        return "%~" + hmac.new(self.name_key, text, hashlib.sha256).hexdigest()[:32]

    def levels(self):
        """(HOST/NAME as stored, LEVEL) of every level, by id within a backup."""
        for host in self.listed("manifests"):
            for name in self.listed("manifests/" + host):
                backup = host + "/" + name
                for level in filter(LEVEL.fullmatch, self.listed("manifests/" + backup)):
                    yield backup, level

    # ------------------------------------------------------------ frames: section 4
    def tag(self, level, data, epoch=0):
        context = b"freezer-frame-2\0" if data[:4] == b"FzF2" else b"freezer-frame-1\0"
        bound = context + self.id + level.encode() + data
        if epoch:
            return hmac.new(self.keys[epoch - 1][1], bound, hashlib.sha256).digest()
        return hashlib.sha256(bound).digest()

    def open_sealed(self, level, lane, number, data):
        """What a sealed frame holds. Nothing is decompressed unless the tag holds, and the frame
        is that of this lane and number."""
        need(len(data) >= HEADER.size + TAG_BYTES and data[:4] in MAGICS, "is no frame")
        header, payload, tag = (
            data[: HEADER.size],
            data[HEADER.size : -TAG_BYTES],
            data[-TAG_BYTES:],
        )
        magic, in_lane, method, cipher, epoch, of_number, raw, length, iv = HEADER.unpack(header)
        need(length == len(payload), "has another length than its header says")
        if magic == b"FzF1":
            need(epoch == 0, "is of a newer format")
            epoch = 1 if self.keys else 0
        need((epoch > 0) == bool(self.keys), "is not encrypted as the store is")
        need(epoch <= len(self.keys), "is encrypted under a key that this passphrase does not open")
        authentic = hmac.compare_digest(self.tag(level, header + payload, epoch), tag)
        need(authentic, "fails authentication")
        is_here = in_lane == lane and of_number == number
        need(is_here, "is another frame: number %d of lane %d" % (of_number, in_lane))
        need(cipher == (1 if self.keys else 0), "is not encrypted as the store is")
        if cipher:
            payload = aes_256_cfb_decrypt(self.keys[epoch - 1][0], iv, payload)
        return decompress(method, payload, raw)

    def open_bare(self, level, method, number, raw, checksum, data):
        header = HEADER.pack(b"FzF1", STREAM, method, 0, 0, number, raw, len(data), bytes(16))
        authentic = self.tag(level, header + data)[:16] == checksum
        need(authentic, "fails its checksum")
        return decompress(method, data, raw)

    def manifest(self, backup, level):
        what = "the manifest of %s/%s " % (backup, level)
        try:
            data = self.read("manifests/%s/%s" % (backup, level))
            manifest = json.loads(self.open_sealed(level, MANIFEST, 0, data))
            self.check_manifest(manifest, backup, level)
            return manifest
        except Refused as e:
            raise Refused(what + str(e)) from None
        except (KeyError, TypeError, ValueError, IndexError) as e:
            raise Refused(what + "is not in the format: %r" % e) from None

    def check_manifest(self, manifest, backup, level):  # M1 to M5
        need(manifest["version"] in (1, 2), "is of a newer format")
        unknown = manifest.get("requires", [])
        need(not unknown, "has features that are not known: %s" % unknown)
        need(manifest["store"] == self.id.hex(), "belongs to another store")
        is_here = backup in self.paths(manifest["host"], manifest["name"])
        need(is_here and manifest["id"] == level, "belongs to another backup or level")
        levels, runs = manifest["levels"], manifest["index"]
        need(1 <= len(runs) <= MAX_RUNS, "has %d runs" % len(runs))
        own = levels[0]["id"] == level and levels[0]["serial"] == manifest["serial"]
        need(own, "does not name its own level first")
        serials = {parts["serial"] for parts in levels}
        need(len(serials) == len(levels), "names a level twice")
        need(all(run["serial"] in serials for run in runs), "has a run in a level it does not name")
        for parts in levels:
            need(LEVEL.fullmatch(parts["id"]), "names a level that is none: %r" % parts["id"])
            need(parts["compression"] in METHODS, "has a compression that is not known")
            need(is_number(parts["stream_bytes"]), "has a stream without a length")
            if "live" in parts:
                check_live(base64_of(parts["live"]))


def is_number(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def check_live(data):
    """Live ranges are for those who remove; here they only have to be some."""
    numbers, first = Bytes(data), True
    while numbers.at < len(data):
        gap, length = numbers.varint(), numbers.varint()
        need(length and (gap or first), "has live ranges that are none")
        first = False


def component(text):
    """A host or a name as it stands in the name of an object: section 1."""
    data, legal = text.encode(), b"._-+=@,~"
    parts = []
    for at, byte in enumerate(data):
        plain = bytes([byte]).isalnum() or byte in legal
        edge = byte == 46 and at in (0, len(data) - 1)
        parts.append(chr(byte) if plain and not edge else "%%%02X" % byte)
    if sum(map(len, parts)) <= 200:
        return "".join(parts)
    while sum(map(len, parts)) > 160:
        parts.pop()
    return "".join(parts) + "%~" + hashlib.sha256(data).hexdigest()[:32]


# ---------------------------------------------------------------- runs: format/index.md
class Bytes:
    """Reads numbers and texts from the front of a block."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        need(length <= len(self.data) - self.at, "ends too early")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def signed(self):
        return int.from_bytes(self.take(8), "big", signed=True)

    def varint(self, bits=64):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                need(byte or not shift, "has a number that is too long")
                need(value < 1 << bits, "has a number that is too large")
                return value
            shift += 7
            need(shift < 70, "has a number that is too long")

    def difference(self, of):
        z = self.varint()
        return (of + (-(z + 1) // 2 if z & 1 else z // 2)) % (1 << 64)

    def sized(self):
        return self.take(self.varint())

    def end(self):
        need(self.at == len(self.data), "has bytes behind its end")


def open_node(data, height):
    """Keys and values of a node: N1 to N4."""
    block = Bytes(data)
    need(block.number(1) == 1, "is of a newer format")
    need(block.number(1) == height, "has another height than its place")
    key, pairs = b"", []
    for at in range(block.varint()):
        shared, rest, length = block.varint(), block.varint(), block.varint()
        need(shared <= len(key) and (at % 16 or not shared), "shares too much of a key")
        more = block.take(rest)
        shares_all = not (at % 16 and shared < len(key) and more[:1] == key[shared : shared + 1])
        need(shares_all or not more, "shares too little of a key")
        new = key[:shared] + more
        need(len(new) <= MAX_KEY_BYTES, "has a key that is too long")
        need(not pairs or new > key, "has keys out of order")
        key = new
        pairs.append((key, block.take(length)))
    block.end()
    need(pairs or height == 0, "is an inner node without children")
    return pairs


class Run:
    """A sorted run: gives its entries in order, with their ranks. `fetch` gets a block by number,
    object, offset and length. `damaged` is told of what cannot be read, and may raise."""

    def __init__(self, root, fetch, damaged):
        self.root, self.fetch, self.damaged = root, fetch, damaged
        need(is_number(root["entries"]) and is_number(root["height"]), "a root has no counts")
        need(root["height"] < 64, "a root is higher than any run")

    def __iter__(self):
        data = base64_of(self.root["node"])
        need(len(data) <= MAX_ROOT_BYTES, "the root of a run is too large")
        try:
            pairs = open_node(data, self.root["height"])
            yield from self.below(pairs, self.root["height"], 0, self.root["entries"], None)
        except Refused as e:
            raise Refused("the root of a run %s" % e) from None

    def below(self, pairs, height, first, end, before):
        if height == 0:
            need(len(pairs) == end - first, "has another number of entries than it should")
            need(before is None or not pairs or pairs[-1][0] < before, "reaches into the next one")
            for rank, (key, value) in enumerate(pairs, first):
                yield rank, key, value
            return
        children = []
        for key, value in pairs:
            numbers = Bytes(value)
            block = numbers.varint(), numbers.varint(32), numbers.varint(), numbers.varint(32)
            children.append((key, block, numbers.varint()))
            numbers.end()
        ranks = [rank for _, _, rank in children] + [end]
        ascend = ranks[0] == first and all(one < two for one, two in zip(ranks, ranks[1:]))
        need(ascend, "has children with other ranks than it should")
        limits = [key for key, _, _ in children[1:]] + [before]
        for (key, block, rank), end, limit in zip(children, ranks[1:], limits):
            try:
                inside = open_node(self.fetch(*block), height - 1)
                need(inside and inside[0][0] == key, "begins with another key than it should")
                found = (
                    list(self.below(inside, height - 1, rank, end, limit))
                    if height == 1
                    else (self.below(inside, height - 1, rank, end, limit))
                )
            except (Refused, OSError) as e:
                self.damaged("block %d %s" % (block[0], e), key, limit)
                continue
            yield from found


def object_name(number):
    return "%08d" % number if number < 10**8 else "A%010d" % number


class Trouble:
    """Counts what could not be read; without --keep-going the first is the last."""

    def __init__(self, keep_going):
        self.keep_going, self.count = keep_going, 0

    def report(self, what):
        if not self.keep_going:
            raise Refused(what)
        self.count += 1
        say(what)


# ---------------------------------------------------------------- streams: section 8
Row = collections.namedtuple(
    "Row", "start length segment number offset stored checksum raw skip skips"
)


class Stream:
    """The tar stream of one level, found through its frame table."""

    def __init__(self, store, backup, parts, trouble):
        self.store, self.parts, self.level, self.trouble = store, parts, parts["id"], trouble
        self.folder = "data/%s/%s/" % (backup, self.level)
        self.method, self.bytes = METHODS[parts["compression"]], parts["stream_bytes"]
        self.repacked = parts.get("repacked", 0)
        self.rows, self.starts, self.last = [], [], (None, b"")
        self.load_table(self.newest_table())
        self.starts = [row.start for row in self.rows]

    def newest_table(self):
        """The root of the frame table: of the newest, if the level was repacked (section 11)."""
        names = list(filter(NUMBER.fullmatch, self.store.listed(self.folder + "repacked")))
        if not names:
            return self.parts["frame_table"]
        name = names[-1]
        number = int(name.lstrip("A"))
        try:
            data = self.store.read(self.folder + "repacked/" + name)
            says = json.loads(self.store.open_sealed(self.level, REPACKED, number, data))
            is_it = (says["level"], says["number"]) == (self.level, number)
            is_it = is_it and says["version"] in (1, 2) and not says.get("requires")
            need(is_it, "is of a newer format or of another level")
            if number <= self.repacked:
                return self.parts["frame_table"]
            need(says["stream_bytes"] == self.bytes, "has another length of the stream")
        except (Refused, KeyError, TypeError, ValueError) as e:
            raise Refused("%srepacked/%s %s" % (self.folder, name, e)) from None
        self.repacked, self.parts = number, dict(self.parts, segments=says["segments"])
        return says["frame_table"]

    def load_table(self, root):
        def fetch(number, where, offset, length):
            name = self.folder + "frames/" + object_name(where)
            data = self.store.read(name, offset, length)
            return self.store.open_sealed(self.level, FRAMES, number, data)

        def damaged(what, key, limit):
            self.trouble.report("the frame table of %s: %s" % (self.level, what))

        try:
            for rank, key, value in Run(root, fetch, damaged):
                try:
                    self.rows.append(self.row(rank, key, value))
                except Refused as e:
                    damaged("row %d %s" % (rank, e), key, None)
        except (Refused, KeyError, TypeError, ValueError) as e:
            if isinstance(e, Refused) and not self.trouble.keep_going:
                raise
            damaged(e, b"", None)
        if self.rows and not self.repacked:
            end = self.rows[-1].start + self.rows[-1].length
            if end != self.bytes:
                damaged("it ends at byte %d of %d" % (end, self.bytes), b"", None)

    def row(self, rank, key, value):  # R1 to R4
        need(len(key) == 8, "has a key that is no place")
        row = Bytes(value)
        kind = row.number(1)
        need(kind != 3, "says that its bytes have moved, which this script cannot follow")
        need(kind in (1, 2), "is of a newer format")
        start, number, length = int.from_bytes(key, "big"), row.varint(), row.varint(32)
        segment, offset, stored = row.varint(32), row.varint(), row.varint(32)
        raw, skip = (row.varint(32), row.varint()) if kind == 2 else (length, 0)
        checksum = row.take(0 if self.store.keys else 16)
        row.end()
        need(0 < length <= raw - skip and raw <= MAX_RAW_BYTES, "has a length that is none")
        need(start + length <= self.bytes, "has a length that is none")
        need(segment < self.parts["segments"], "lies in a segment that there is not")
        before = self.rows[-1] if self.rows else None
        end = before.start + before.length if before else 0
        need(start >= end, "overlaps the one before")
        if kind == 2:
            need(self.repacked and number >= 1 << 32, "is a stretch where there can be none")
        else:
            last = next((row.number for row in reversed(self.rows) if not row.skips), -1)
            left_out = number - last - 1
            need(
                left_out >= 0
                and start >= end + (left_out if before is None or not before.skips else 0),
                "overlaps the one before",
            )
            need(left_out or self.repacked or start == end, "does not begin where another ends")
            need(number or start == 0, "is the first and does not begin at 0")
        if not self.repacked and number != rank:
            self.trouble.report("row %d of a frame table is that of frame %d" % (rank, number))
        return Row(start, length, segment, number, offset, stored, checksum, raw, skip, kind == 2)

    def frame(self, row):
        """The bytes of a row: of its frame, or of a stretch of it."""
        name = self.folder + "segments/" + object_name(row.segment)
        try:
            data = self.store.read(name, row.offset, row.stored)
            if self.store.keys:
                data = self.store.open_sealed(self.level, STREAM, row.number, data)
            else:
                data = self.store.open_bare(
                    self.level, self.method, row.number, row.raw, row.checksum, data
                )
            need(len(data) == row.raw, "has another length than its row says")
            return data[row.skip : row.skip + row.length]
        except Refused as e:
            what = "frame %d in segment %s %s" % (row.number, object_name(row.segment), e)
            raise Refused(what) from None
        except FileNotFoundError:
            what = "segment %s of %s is missing" % (object_name(row.segment), self.level)
            raise Refused(what) from None
        except OSError as e:
            raise Refused("segment %s: %s" % (object_name(row.segment), e)) from None

    def read(self, offset, length):
        """Bytes of the stream, from the frames they lie in."""
        end = offset + length
        need(end <= self.bytes, "an extent lies behind the stream of level %s" % self.level)
        while offset < end:
            at = bisect.bisect_right(self.starts, offset) - 1
            row = self.rows[at] if at >= 0 else None
            inside = row and row.start <= offset < row.start + row.length
            need(inside, "byte %d of level %s is in no frame" % (offset, self.level))
            if self.last[0] != at:
                self.last = at, self.frame(row)
            piece = self.last[1][offset - row.start :][: end - offset]
            yield piece
            offset += len(piece)


# ---------------------------------------------------------------- the tree: format/index.md
Entry = collections.namedtuple(
    "Entry",
    "kind mode uid gid user group mtime size target numbers xattrs extents first record digest",
)


def read_entry(value):  # T5 and T6
    """An entry; `extents` are (place in the file, level, place in the stream, length)."""
    b = Bytes(value)
    version = b.number(1)
    need(version in (1, 2), "is of a newer format")
    kind, flags = b.number(1), b.number(1)
    need(kind <= PIPE and flags < 64 * version, "is of a newer format")
    need(not (flags & 38 and kind != FILE) and flags & 6 != 6, "has flags that contradict its kind")
    mode, uid, gid = b.varint(), b.varint(32), b.varint(32)
    need(mode <= 0o7777, "has a mode that is none")
    user, group, _, _ = b.sized(), b.sized(), b.varint(), b.varint(32)
    whole_level = b.varint() if flags & 2 else None
    seconds, ctime = b.signed(), b.signed() if flags & 1 else None
    _, whole_at = b.number(8), b.number(8) if flags & 2 else None
    mtime = seconds, b.number(4)
    ctime = (ctime, b.number(4)) if flags & 1 else None
    need(ctime != mtime and max(mtime[1], (ctime or mtime)[1]) < 10**9, "has a time that is none")
    size, target = b.varint() if kind == FILE else 0, b.sized() if kind == SYMLINK else b""
    need(kind != SYMLINK or target and b"\0" not in target, "has a target that is none")
    numbers = (b.varint(32), b.varint(32)) if kind in (CHARACTER, BLOCK) else (0, 0)
    b.varint()  # space allocated
    first = b.varint() if flags & 8 else None
    more = read_extensions(b.sized(), kind, size) if flags & 64 else {}
    need(first is None or 4 not in more, "has two common records")
    xattrs = read_xattrs(b) if flags & 16 else []
    extents = []
    if flags & 2:
        need(size, "has content of no bytes")
        extents = [(0, whole_level, whole_at, size)]
    elif flags & 4:
        extents = read_extents(b, size)
    if flags & 32:
        read_signatures(b)
    b.end()
    need(not any(of & 1 for of in more), "has something that this script does not know and must")
    return Entry(
        *(kind, mode, uid, gid, user, group, mtime, size, target, numbers, xattrs, extents),
        *(first, more.get(4), more.get(2)),
    )


def read_extensions(area, kind, size):
    """The extensions of an entry by their types; those that are not known too."""
    b, found = Bytes(area), {}
    need(area, "has extensions and has none")
    while b.at < len(area):
        of, value = b.varint(), b.sized()
        need(not found or of > max(found), "has extensions out of order")
        if of == 2:
            need(len(value) == 20 and kind == FILE and size, "has a hash that is none")
        elif of in (4, 6, 8):
            inner = Bytes(value)
            one, two = inner.varint(), inner.varint() if of != 6 else 0
            inner.end()
            need(of != 4 or two < 1 << RANK_BITS, "has a common record that is none")
            need(of != 6 or 0 < one < 1 << 32, "has inode flags that are none")
            value = one, two
        found[of] = value
    return found


def read_xattrs(b):
    xattrs = [(b.sized(), b.sized()) for _ in range(b.varint(24))]
    names = [name for name, _ in xattrs]
    need(xattrs and all(a < c for a, c in zip(names, names[1:])), "has attributes out of order")
    need(all(name and b"\0" not in name for name in names), "has an attribute without a name")
    return xattrs


def read_extents(b, size):
    extents, at, level, place = [], 0, 0, 0
    for _ in range(b.varint(40)):
        at += b.varint()
        level, place = b.difference(level), b.difference(place)
        length = b.varint()
        need(length and at + length <= size, "has an extent outside of itself")
        extents.append((at, level, place, length))
        at, place = at + length, place + length
    one = len(extents) == 1 and extents[0][0] == 0 and extents[0][3] == size
    need(extents and not one, "has extents in another form than the shortest")
    return extents


def read_signatures(b):
    level = None
    count = b.varint(40)
    need(count, "has a list of no signatures")
    for _ in range(count):
        step, _, length = b.varint(), b.varint(), b.varint()
        need(length and (step or level is None), "has signatures out of order")
        level = step


def path_of(key):  # T3
    """The directory of a key and its name, as lists of components; None for the root."""
    if not key:
        return None
    parts = key.split(b"\0")
    name, above = parts[-1], parts[:-2]
    need(len(parts) >= 2 and parts[-2] == b"", "a key has no name")
    for part in above + [name]:
        need(part not in (b"", b".", b"..") and b"/" not in part, "a name is %r" % shown(part))
    return b"/".join(above), name


class Point:
    """A point in time: its index, and the streams that its files lie in."""

    def __init__(self, store, backup, level, trouble):
        self.store, self.backup, self.trouble = store, backup, trouble
        self.manifest = store.manifest(backup, level)
        self.levels = {parts["serial"]: parts for parts in self.manifest["levels"]}
        self.streams = {}

    def stream(self, serial):
        if serial not in self.streams:
            need(serial in self.levels, "an extent names level %d, which is not there" % serial)
            self.streams[serial] = Stream(
                self.store, self.backup, self.levels[serial], self.trouble
            )
        return self.streams[serial]

    def run(self, number, run):
        """The entries of a run of the index. Run 0 is the oldest."""
        level = self.levels[run["serial"]]["id"]
        folder = "data/%s/%s/index/" % (self.backup, level)

        def fetch(block, where, offset, length):
            data = self.store.read(folder + object_name(where), offset, length)
            return self.store.open_sealed(level, INDEX, block, data)

        def damaged(what, key, limit):
            self.unknown.append((number, key, limit))
            self.trouble.report("the index of %s: %s: its entries are lost" % (level, what))

        return Run(run["root"], fetch, damaged)

    def decided(self):
        """The newest value of each key, with the number of its run and its rank there."""
        runs, decided, gone, self.unknown = self.manifest["index"], {}, set(), []
        for age, run in enumerate(runs):
            number, here = len(runs) - 1 - age, set()
            for rank, key, value in self.run(number, run):
                if key.endswith(b"\0"):  # T4
                    is_one = number > 0 and value in GONE
                    if not is_one:
                        self.trouble.report("the index says that %r is gone" % shown(key))
                        continue
                    here.add(key)
                elif key not in decided and not any(
                    key[: end + 1] in gone for end, byte in enumerate(key) if byte == 0
                ):
                    hidden = any(
                        of > number and low <= key and (high is None or key < high)
                        for of, low, high in self.unknown
                    )
                    if not hidden:  # a newer run may have said otherwise where it is damaged
                        decided[key] = value, number, rank
            if len(here) != run["subtrees"]:
                self.trouble.report("a run has another number of subtrees than its manifest says")
            gone |= here
        return decided

    def tree(self):
        """The entries of each directory, by its path: lists of (name, entry). None: the root.
        What breaks a rule is reported and left out."""
        tree, decided = {}, self.decided()
        self.load_records(decided)
        for key, (value, number, rank) in sorted(decided.items()):
            try:
                place = path_of(key)
                if value in GONE:
                    need(number > 0, "is gone in the oldest run")
                    continue
                entry = self.joined(read_entry(value), number, rank)
            except Refused as e:
                self.trouble.report("%r: the entry %s" % (shown(key.replace(b"\0", b"/")), e))
                continue
            if place is None:
                need(entry.kind == DIRECTORY, "the root of the tree is no directory")
                tree[None] = [(b"", entry)]
            else:
                tree.setdefault(place[0], []).append((place[1], entry))
        need(None in tree, "the tree has no root")
        self.leave_out_orphans(tree)
        return tree

    def load_records(self, decided):
        """Reads the common records of files with several names, also such as the tree has under no
        name any more."""
        wanted, self.records = collections.defaultdict(set), {}
        for value, number, _ in decided.values():
            try:
                entry = None if value in GONE else read_entry(value)
            except Refused:
                continue  # told later, with its name
            if entry and entry.record:
                wanted[entry.record[0]].add(entry.record[1])
            elif entry and entry.first is not None:
                wanted[number].add(entry.first)
        runs = self.manifest["index"]
        for number, ranks in wanted.items():
            if number >= len(runs):
                continue
            for rank, _, value in self.run(number, runs[len(runs) - 1 - number]):
                if rank in ranks and value not in GONE:
                    try:
                        self.records[number, rank] = read_entry(value)
                    except Refused:
                        pass  # its names stand for themselves

    def joined(self, entry, number, rank):  # T7
        """The entry, with the place of its common record in the place of a rank."""
        record = entry.record or ((number, entry.first) if entry.first is not None else None)
        if record is None:
            return entry._replace(first=(number, rank))
        need(record < (number, rank), "has a common record that is not before it")
        need(entry.kind != DIRECTORY, "is a directory with several names")
        if record not in self.records:
            return entry._replace(first=(number, rank))
        what = self.records[record]
        same = (what.kind, what.size) == (entry.kind, entry.size)
        same = same and (what.digest == entry.digest or not (what.digest and entry.digest))
        need(same, "is another file than its other names")
        return entry._replace(first=record)

    def leave_out_orphans(self, tree):  # T2
        directories = {b""}
        for above in sorted(
            (path for path in tree if path is not None), key=lambda p: p.split(b"/")
        ):
            if above not in directories:
                for name, _ in tree.pop(above):
                    path = shown(above + b"/" + name)
                    self.trouble.report("%r lies in no directory of the tree" % path)
                continue
            inside = above + b"/" if above else b""
            directories |= {inside + name for name, e in tree[above] if e.kind == DIRECTORY}

    def content(self, entry, begin, end, hasher=None):
        """The bytes of a file from `begin` to `end`; holes are zeros, and are not hashed."""
        at = begin
        for place, level, offset, length in entry.extents:
            low, high = max(place, at), min(place + length, end)
            if low >= high:
                continue
            yield from zeros(low - at)
            for piece in self.stream(level).read(offset + low - place, high - low):
                if hasher:
                    hasher.update(piece)
                yield piece
            at = high
        yield from zeros(end - at)

    def hasher(self, entry):
        """What checks the hash of a file's content; None where it has none."""
        return ContentHash(entry, self.store.hash_key) if entry.digest else None

    def filled(self, entry, begin, end):
        """The same, with filler for what cannot be read. Reports it."""
        at = begin
        while at < end:
            try:
                for piece in self.content(entry, at, end):
                    yield piece
                    at += len(piece)
            except (Refused, OSError):
                # on to the next byte that may lie in another frame
                step = min(end - at, 512 - at % 512)
                yield (FILLER * (step // len(FILLER) + 1))[:step]
                at += step


class ContentHash:
    """The hash of a file's content: BLAKE3 by the package blake3, or by the program b3sum. The
    frames were checked whether there is one or not: this shows that they are the right ones."""

    tool, program = None, None

    @classmethod
    def look_for_a_tool(cls):
        try:
            import blake3

            cls.tool = blake3.blake3
        except ImportError:
            found = any(
                os.access(os.path.join(folder, "b3sum"), os.X_OK) for folder in os.get_exec_path()
            )
            cls.tool = "b3sum" if found else None

    def __init__(self, entry, key):
        self.entry, self.key, self.state = entry, key, None
        if self.tool == "b3sum":
            self.start()
        elif self.tool:
            self.state = self.tool(key=key) if key else self.tool()

    def start(self):
        command = ["b3sum", "--no-names", "--length", "20"]
        if not self.key:
            self.program = subprocess.Popen(command, stdin=-1, stdout=-1)
            self.to = self.program.stdin
            return
        read, write = os.pipe()
        command += ["--keyed", "/dev/fd/%d" % read]
        self.program = subprocess.Popen(command, stdin=-1, stdout=-1, pass_fds=[read])
        os.close(read)
        self.program.stdin.write(self.key)
        self.program.stdin.close()
        self.to = os.fdopen(write, "wb")

    def update(self, data):
        if self.program:
            self.to.write(data)
        elif self.state:
            self.state.update(data)

    def check(self):
        """Refuses the content if it is another than was stored."""
        if not self.tool:
            return
        runs = []
        for place, _, _, length in self.entry.extents:
            if runs and runs[-1][0] + runs[-1][1] == place:
                runs[-1] = runs[-1][0], runs[-1][1] + length
            else:
                runs.append((place, length))
        if runs != [(0, self.entry.size)]:
            self.update(b"".join(struct.pack(">QQ", *run) for run in runs))
        if self.program:
            self.to.close()
            with self.program:
                digest = bytes.fromhex(self.program.stdout.read().decode().strip())
        else:
            digest = self.state.digest(20)
        need(digest == self.entry.digest, "has another content than its hash says")


def zeros(count):
    while count > 0:
        yield bytes(min(count, 1 << 20))
        count -= 1 << 20


# ---------------------------------------------------------------- tar: format/tar.md
def acl_text(value):
    """A POSIX ACL as the kernel has it, as tar writes it."""
    names = {1: "user:", 2: "user:%d", 4: "group:", 8: "group:%d", 16: "mask:", 32: "other:"}
    need(len(value) % 8 == 4 and value[:4] == b"\2\0\0\0", "is an ACL that tar cannot hold")
    entries = [struct.unpack_from("<HHI", value, at) for at in range(4, len(value), 8)]
    need(all(tag in names for tag, _, _ in entries), "is an ACL that tar cannot hold")
    right = lambda bits: "".join(
        letter if bits & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))
    )
    return ",".join(
        "%s:%s" % (names[tag] % number if "%" in names[tag] else names[tag], right(bits))
        for tag, bits, number in entries
    ).encode()


def record(key, value):
    """A record of an extended header: its length counts its own digits."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def digits(value, width):
    return b"%0*o" % (width, value if 0 <= value < 8**width else 0)


def header(
    name,
    kind,
    size,
    mode=0o644,
    uid=0,
    gid=0,
    mtime=0,
    link=b"",
    user=b"",
    group=b"",
    numbers=(0, 0),
):
    block = b"".join(
        (
            name[:100].ljust(100, b"\0"),
            digits(mode, 7) + b"\0",
            digits(uid, 7) + b"\0",
            digits(gid, 7) + b"\0",
            digits(size, 11) + b"\0",
            digits(mtime, 11) + b"\0",
            b" " * 8,
            kind,
            link[:100].ljust(100, b"\0"),
            b"ustar\x0000",
            user[:31].ljust(32, b"\0"),
            group[:31].ljust(32, b"\0"),
            digits(numbers[0], 7) + b"\0",
            digits(numbers[1], 7) + b"\0",
        )
    ).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


TYPES = {FILE: b"0", DIRECTORY: b"5", SYMLINK: b"2", CHARACTER: b"3", BLOCK: b"4", PIPE: b"6"}


class Archive:
    """Writes members of a tar archive to standard output."""

    def __init__(self, out):
        self.out, self.bytes = out, 0

    def write(self, data):
        self.out.write(data)
        self.bytes += len(data)

    def member(self, name, entry, link=None, runs=None, problem=None):
        """The header of a member. `runs`: where a file with holes has bytes."""
        records, size, kind = [], entry.size, TYPES[entry.kind]
        target = entry.target
        if link is not None:
            kind, size, target = b"1", 0, link
        stored_name, stored_map = name, b""
        if runs is not None:
            stored_map = b"%d\n" % len(runs) + b"".join(b"%d\n%d\n" % run for run in runs)
            stored_map = stored_map.ljust(-(-len(stored_map) // 512) * 512, b"\0")
            records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]
            records += [(b"GNU.sparse.name", name), (b"GNU.sparse.realsize", b"%d" % size)]
            stored_name = b"./GNUSparseFile.0/" + name.rpartition(b"/")[2][:80]
            size = len(stored_map) + sum(length for _, length in runs)
        elif len(name) > 100:
            records.append((b"path", name))
        if len(target) > 100:
            records.append((b"linkpath", target))
        records += [(b"size", b"%d" % size)] if size >= 8**11 else []
        for key, number in ((b"uid", entry.uid), (b"gid", entry.gid)):
            records += [(key, b"%d" % number)] if number >= 8**7 else []
        for key, text in ((b"uname", entry.user), (b"gname", entry.group)):
            records += [(key, text)] if len(text) > 31 else []
        records += self.time(entry.mtime)
        if link is None:
            records += self.attributes(entry.xattrs, problem)
        if any(not value.isascii() for key, value in records if not key.startswith(b"SCHILY")):
            records.insert(0, (b"hdrcharset", b"BINARY"))
        if records:
            data = b"".join(record(key, value) for key, value in records)
            self.write(header(b"././@PaxHeader", b"x", len(data)))
            self.write(data.ljust(-(-len(data) // 512) * 512, b"\0"))
        mode = entry.mode
        # Nobody has that number, and tar takes it for "leave the owner as it is": the member would
        # act as whoever extracts it.
        if 2**32 - 1 in (entry.uid, entry.gid) and mode & 0o6000:
            mode &= ~0o6000
            if problem:
                problem("its owner is none that there can be: it has no setuid and setgid")
        fields = dict(mode=mode, uid=entry.uid, gid=entry.gid, mtime=entry.mtime[0])
        fields.update(user=entry.user, group=entry.group, numbers=entry.numbers, link=target)
        self.write(header(stored_name, kind, size, **fields))
        self.write(stored_map)
        return size - len(stored_map)

    @staticmethod
    def time(mtime):
        seconds, nanoseconds = mtime
        if 0 <= seconds < 8**11 and not nanoseconds:
            return []
        value = seconds * 10**9 + nanoseconds
        sign, value = (b"-", -value) if value < 0 else (b"", value)
        fraction = b".%09d" % (value % 10**9) if value % 10**9 else b""
        return [(b"mtime", sign + b"%d" % (value // 10**9) + fraction)]

    @staticmethod
    def attributes(xattrs, problem):
        for name, value in xattrs:
            if name in (b"system.posix_acl_access", b"system.posix_acl_default"):
                try:
                    yield b"SCHILY.acl." + name.rpartition(b"_")[2], acl_text(value)
                except Refused as e:
                    problem("its attribute %s %s" % (shown(name), e))
            else:
                key = name.replace(b"%", b"%25").replace(b"=", b"%3D")
                yield b"SCHILY.xattr." + key, value

    def data(self, pieces, size):
        written = 0
        for piece in pieces:
            self.write(piece)
            written += len(piece)
        need(written == size, "has other bytes than its header says")
        self.write(bytes(-size % 512))

    def end(self):
        self.write(bytes(1024 + -(self.bytes + 1024) % 10240))
        self.out.flush()


def runs_of(entry):
    """Where a file with holes has bytes, in whole blocks of 512; None if it has no holes."""
    runs = []
    for place, _, _, length in entry.extents:
        low, high = place - place % 512, min(-(-(place + length) // 512) * 512, entry.size)
        if runs and low <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(high, runs[-1][1])
        else:
            runs.append((low, high))
    if runs == [(0, entry.size)] or entry.size == 0:
        return None
    runs = [(low, high - low) for low, high in runs]
    if not runs or sum(runs[-1]) < entry.size:
        runs.append((entry.size, 0))
    return runs


class TreeWriter:
    """Writes the tree of a point in time as one archive."""

    def __init__(self, store, backup, level, trouble):
        self.point, self.trouble = Point(store, backup, level, trouble), trouble
        self.tree, self.first_names = self.point.tree(), {}
        self.archive, self.counts = Archive(sys.stdout.buffer), collections.Counter()

    def write(self):
        found = sum(map(len, self.tree.values()))
        waiting = [(b"", self.tree[None][0][1])]
        while waiting:
            waiting.extend(self.directory(*waiting.pop()))
        self.archive.end()
        want = self.point.manifest["counts"]["entries"]
        if found != want:
            self.trouble.report("the tree has %d entries and should have %d" % (found, want))
        say(
            "wrote %d files and %d other entries, %d bytes of tar"
            % (self.counts[FILE], sum(self.counts.values()) - self.counts[FILE], self.archive.bytes)
        )

    def directory(self, path, entry):
        """Writes a directory and what is in it but directories; returns those, the last first."""
        self.member(path + b"/" if path else b"", entry)
        below = self.tree.get(path, [])
        inside = path + b"/" if path else b""
        for name, entry in below:
            if entry.kind != DIRECTORY:
                self.member(inside + name, entry)
        return [(inside + name, e) for name, e in reversed(below) if e.kind == DIRECTORY]

    def member(self, path, entry):
        name = b"./" + path
        problem = lambda what: self.trouble.report("%r: %s" % (shown(path), what))
        link = self.first_names.get(entry.first) if entry.kind != DIRECTORY else None
        if link is not None:
            self.archive.member(name, entry, link=link)
        elif entry.kind == FILE:
            name = self.file(name, path, entry, problem)
        else:
            self.archive.member(name, entry, problem=problem)
        self.counts[entry.kind] += 1
        if link is None:
            self.first_names[entry.first] = name

    def file(self, name, path, entry, problem):
        """Writes a file. Where it cannot be read whole, it gets another name, and filler."""
        read, small, hasher = self.point.content, None, None
        parts = runs_of(entry) or [(0, entry.size)]
        try:
            hasher = self.point.hasher(entry)
            if self.trouble.keep_going:
                small = self.look_through(entry, parts, hasher)
                hasher = None
        except (Refused, OSError) as e:
            if not self.trouble.keep_going:
                raise
            name += DAMAGED
            problem("%s; what is left of it is in %r" % (e, shown(name[2:])))
            read, small, hasher = self.point.filled, None, None
        size = self.archive.member(name, entry, runs=runs_of(entry), problem=problem)
        more = {"hasher": hasher} if hasher else {}
        try:
            self.archive.data(
                (
                    piece
                    for at, length in parts
                    for piece in (
                        [small[at : at + length]]
                        if small is not None
                        else read(entry, at, at + length, **more)
                    )
                ),
                size,
            )
            if hasher:
                hasher.check()
        except (Refused, OSError) as e:
            # Its header has promised bytes that are not there.
            what = "%r: %s; what was written so far is no whole archive"
            raise Refused(what % (shown(path), e)) from None
        return name

    def look_through(self, entry, parts, hasher):
        """Reads a file before its header is written. Returns its bytes if they are few."""
        read = self.point.content
        if entry.size <= 8 << 20:
            small = b"".join(read(entry, 0, entry.size, hasher))
        else:
            small = None
            for at, length in parts:
                collections.deque(read(entry, at, at + length, hasher), maxlen=0)
        if hasher:
            hasher.check()
        return small


# ---------------------------------------------------------------- the raw stream: section 6
def write_level(store, backup, level, trouble):
    """Writes the stream of a level as it is, each frame checked."""
    manifest = store.manifest(backup, level)
    own, out = manifest["levels"][0], sys.stdout.buffer
    if len(manifest["levels"]) > 1:
        say("this level leans on others: its own stream is not all of the tree; --tree is")
    stream, at = Stream(store, backup, own, trouble), 0
    for row in stream.rows:
        if row.start > at:
            trouble.report("bytes %d to %d of the stream are in no frame" % (at, row.start))
            fill(out, row.start - at)
        try:
            out.write(stream.frame(row))
        except Refused as e:
            trouble.report("%s%s" % (e, ": filler takes its place" if trouble.keep_going else ""))
            fill(out, row.length)
        at = row.start + row.length
    if at < own["stream_bytes"]:
        trouble.report("the stream ends at byte %d and should have %d" % (at, own["stream_bytes"]))
    out.flush()
    say("wrote the stream of %s, %d bytes" % (level, at))


def fill(out, length):
    while length > 0:
        piece = (FILLER * 40000)[: min(length, 1 << 20)]
        out.write(piece)
        length -= len(piece)


# ---------------------------------------------------------------- the command
def list_levels(store, trouble):
    for backup, level in store.levels():
        try:
            m = store.manifest(backup, level)
            line = "%s/%s/%s\tlevel %d\t%s\t%d entries" % (
                m["host"],
                m["name"],
                level,
                m["level"],
                m["started"],
                m["counts"]["entries"],
            )
            print("".join(c if c.isprintable() or c == "\t" else "?" for c in line))
        except (Refused, OSError) as e:
            trouble.count += 1
            say(e)


def choose(store, wanted, trouble):
    """The level that is meant: the newest by its serial where only the backup is named."""
    levels = list(store.levels())
    shown = {backup: store.shown(backup, levels) for backup in {b for b, _ in levels}}
    names = lambda backup: {backup, urllib.parse.unquote(backup), shown[backup]}
    exact = [(b, l) for b, l in levels if wanted in {name + "/" + l for name in names(b)}]
    of_backup = exact or [(b, l) for b, l in levels if wanted in names(b)]
    need(of_backup, "there is no level %s; without it this program lists what there is" % wanted)
    if exact:
        return exact[0]
    newest = None
    for backup, level in of_backup:
        try:
            serial = store.manifest(backup, level)["serial"]
            if newest is None or serial > newest[0]:
                newest = serial, backup, level
        except (Refused, OSError) as e:
            what = "%s; it may be the newest: name another LEVEL, or use --keep-going" % e
            trouble.report(str(e) if trouble.keep_going else what)
    need(newest, "%s has no level that can be read" % wanted)
    return newest[1:]


def options():
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
        help="go on past damage, name it, end with 3. A damaged file gets filler in the damaged "
        "places, and %s at the end of its name" % DAMAGED.decode(),
    )
    ap.add_argument(
        "--tree",
        action="store_true",
        help="all of a point in time, from every level that holds a part of it. "
        "Memory grows with its files: about 3 KiB for each",
    )
    return ap.parse_args()


def run(args):
    trouble = Trouble(args.keep_going)
    ContentHash.look_for_a_tool()
    store = Store(args.store, args.pass_file)
    if not args.level:
        list_levels(store, trouble)
        return 3 if trouble.count else 0
    need(
        not sys.stdout.isatty(),
        "a tar stream is nothing for a terminal: redirect it into a file or into tar",
    )
    chosen = choose(store, args.level, trouble)
    if args.tree:
        TreeWriter(store, *chosen, trouble).write()
    else:
        write_level(store, *chosen, trouble)
    sys.stdout.flush()
    if trouble.count:
        say("NOT ALL IS RIGHT: %d troubles were named above" % trouble.count)
        return 3
    if args.tree and not ContentHash.tool:
        say("the hashes of contents were not checked: they need b3sum, or the package blake3")
    say("done: all that was written has been checked")
    return 0


def main():
    args = options()
    try:
        return run(args)
    except BrokenPipeError:
        # what reads the stream has ended; nothing more can be flushed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        say("the program that reads the stream has ended before the stream did")
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except (Refused, OSError) as e:
        say(e)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
        say("a document of the store is not in the format:", repr(e))
    except MemoryError:
        say("there is not enough memory")
    except RecursionError:
        say("a document of the store is nested too deep")
    return 1


if __name__ == "__main__":
    sys.exit(main())
