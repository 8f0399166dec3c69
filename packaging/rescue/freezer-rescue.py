#!/usr/bin/env python3
"""Turns a level of a Freezer store into a tar stream, without Freezer.

  freezer-rescue.py STORE                                  list the levels
  freezer-rescue.py STORE HOST/NAME > level.tar            the newest level of a backup
  freezer-rescue.py STORE HOST/NAME/LEVEL | tar x          a certain one

Needs Python 3.9 or newer and the programs of the compression used (zstd; gzip, bzip2, xz). A store with a passphrase also needs the
package `cryptography`, and for Argon2 one of: cryptography 44 or newer, the package argon2-cffi, the library libargon2.
The numbers in comments are sections of docs/format.md.
"""
import argparse, base64, ctypes, ctypes.util, getpass, hashlib, hmac, json, os, re, struct, subprocess, sys, urllib.parse

HEADER = struct.Struct("<4sBBBBQII16s")  # 4: magic, lane, compression, cipher, 0, number, raw length, payload length, IV
TAG_BYTES, MAX_RAW_BYTES = 32, 64 << 20
STREAM, MANIFEST = 0, 3  # 4: lanes
PROGRAMS = {1: "gzip", 2: "bzip2", 3: "xz", 4: "zstd"}
FILLER = b"[damaged: see freezer-rescue]\n"  # not zeros: to tar these are the end
METHODS = {"none": 0, "gzip": 1, "bzip2": 2, "xz": 3, "zstd": 4}
LEVEL = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}")
KEY = re.compile(r"[0-9a-f]{8}\.json")
ENCRYPTED = "aes-256-cfb+hmac-sha256"


class Refused(Exception):
    """Bytes that cannot be what they should be."""


def say(*words):
    print("freezer-rescue:", *words, file=sys.stderr)


# ---------------------------------------------------------------- keys: section 3
def argon2id(passphrase, salt, cost):
    memory, passes, lanes = cost["memory_kib"], cost["passes"], cost["lanes"]
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
        return Argon2id(salt=salt, length=64, iterations=passes, lanes=lanes, memory_cost=memory).derive(passphrase)
    except Exception as e:  # older than 44, or built with an OpenSSL older than 3.2
        if not isinstance(e, ImportError) and type(e).__name__ != "UnsupportedAlgorithm":
            raise
    try:
        from argon2.low_level import Type, hash_secret_raw
        return hash_secret_raw(passphrase, salt, passes, memory, lanes, 64, Type.ID)
    except ImportError:
        pass
    found = ctypes.util.find_library("argon2")
    if not found:
        sys.exit("Argon2 is missing: install libargon2-1 (Debian), or with pip cryptography 44 or newer, or argon2-cffi")
    out = ctypes.create_string_buffer(64)
    number, size = ctypes.c_uint32, ctypes.c_size_t
    result = ctypes.CDLL(found).argon2id_hash_raw(number(passes), number(memory), number(lanes), passphrase, size(len(passphrase)),
                                                  salt, size(len(salt)), out, size(64))
    if result:
        sys.exit("libargon2 refuses: error %d" % result)
    return out.raw


def aes_256_cfb_decrypt(key, iv, data):
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
        try:
            from cryptography.hazmat.decrepit.ciphers.modes import CFB
        except ImportError:
            from cryptography.hazmat.primitives.ciphers.modes import CFB
    except ImportError:
        sys.exit("the Python package cryptography is missing: install python3-cryptography (Debian), or cryptography with pip")
    decryptor = Cipher(algorithms.AES(key), CFB(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def hkdf_sha256(master, salt, info):  # RFC 5869 with one block of output: 32 bytes
    prk = hmac.new(salt, master, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def unwrap(slot, store_id, passphrase):
    """The master key, or None if the slot is another passphrase's."""
    if slot["version"] != 1 or slot["kdf"] != "argon2id":
        raise Refused("key %s has a newer format" % slot["id"])
    salt, iv, wrapped, tag = (base64.b64decode(slot[k], validate=True) for k in ("salt", "iv", "wrapped", "tag"))
    k = argon2id(passphrase, salt, slot["cost"])
    want = hmac.new(k[32:], b"freezer-key-1\0" + store_id + iv + wrapped + slot["id"].encode(), hashlib.sha256).digest()
    return aes_256_cfb_decrypt(k[:32], iv, wrapped) if hmac.compare_digest(want, tag) else None


# ---------------------------------------------------------------- store: sections 1 and 2
class Store:
    def __init__(self, path, pass_file):
        self.path = path
        document = json.loads(self.read("freezer.json"))
        if document["format"] != "freezer store" or document["version"] != 1:
            raise Refused("%s is not a store of format 1" % path)
        self.id, self.encryption, self.authentication = bytes.fromhex(document["id"]), None, None
        if document["cipher"] == ENCRYPTED:
            master = self.master_key(pass_file)
            self.encryption = hkdf_sha256(master, self.id, b"freezer frame encryption 1")
            self.authentication = hkdf_sha256(master, self.id, b"freezer frame authentication 1")
        elif document["cipher"] != "none":
            raise Refused("the store's cipher is not known: " + document["cipher"])

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as f:
            return f.read()

    def master_key(self, pass_file):
        if pass_file:
            with open(pass_file, "rb") as f:
                passphrase = f.read().split(b"\n")[0]
            passphrase = passphrase[:-1] if passphrase.endswith(b"\r") else passphrase
        else:
            passphrase = os.fsencode(getpass.getpass("Passphrase: "))
        names = sorted(n for n in os.listdir(os.path.join(self.path, "keys")) if KEY.fullmatch(n))
        for name in names:
            master = unwrap(json.loads(self.read("keys/" + name)), self.id, passphrase)
            if master:
                return master
        raise Refused("wrong passphrase: it opens none of the %d keys" % len(names))

    def levels(self):
        """(HOST/NAME as stored, LEVEL) of every level, oldest first within a backup."""
        top = os.path.join(self.path, "manifests")
        for host in sorted(os.listdir(top)):
            for name in sorted(os.listdir(os.path.join(top, host))):
                for level in sorted(filter(LEVEL.fullmatch, os.listdir(os.path.join(top, host, name)))):
                    yield host + "/" + name, level

    # ------------------------------------------------------------ frames: section 4
    def open_frame(self, level, lane, header, payload, tag):
        """The payload of a sealed frame, decrypted but still compressed. Nothing comes out unless the tag holds."""
        bound = b"freezer-frame-1\0" + self.id + level.encode() + header + payload
        if self.authentication:
            want = hmac.new(self.authentication, bound, hashlib.sha256).digest()
        else:
            want = hashlib.sha256(bound).digest()
        if not hmac.compare_digest(want, tag):
            raise Refused("fails authentication")
        _, stored_lane, _, cipher, _, _, _, _, iv = HEADER.unpack(header)
        if stored_lane != lane or cipher != (1 if self.encryption else 0):
            raise Refused("is not of this kind")
        return aes_256_cfb_decrypt(self.encryption, iv, payload) if cipher else payload

    def manifest(self, backup, level):
        data = self.read("manifests/%s/%s" % (backup, level))
        header, payload, tag = data[:HEADER.size], data[HEADER.size:-TAG_BYTES], data[-TAG_BYTES:]
        if len(data) < HEADER.size + TAG_BYTES or header[:4] != b"FzF1":
            raise Refused("the manifest of %s/%s is not one" % (backup, level))
        try:
            payload = self.open_frame(level, MANIFEST, header, payload, tag)
        except Refused as e:
            raise Refused("the manifest of %s/%s %s" % (backup, level, e)) from None
        if header[5]:
            program = PROGRAMS[header[5]]
            payload = subprocess.run([program, "-dc"], input=payload, stdout=subprocess.PIPE, check=True).stdout
        manifest = json.loads(payload)
        if manifest["version"] != 1 or manifest["id"] != level:
            raise Refused("the manifest of %s/%s is of a newer format or another level" % (backup, level))
        return manifest


# ---------------------------------------------------------------- the tar stream: section 6
class Output:
    """Standard output behind the right decompressor. Frames end to end are one file to these programs."""

    def __init__(self):
        self.method, self.program, self.to = 0, None, sys.stdout.buffer

    def write(self, method, data):
        if method != self.method:
            self.finish()
            self.method = method
            if method:
                self.program = subprocess.Popen([PROGRAMS[method], "-dc"], stdin=subprocess.PIPE)
                self.to = self.program.stdin
        self.to.write(data)

    def finish(self):
        self.to.flush()
        if self.program:
            self.to.close()
            if self.program.wait():
                raise Refused("%s could not decompress the stream" % PROGRAMS[self.method])
        self.method, self.program, self.to = 0, None, sys.stdout.buffer


def bare_frames(store, folder, names, method, output):
    for name in names:
        with open(os.path.join(folder, name), "rb") as f:
            for data in iter(lambda: f.read(1 << 20), b""):
                output.write(method, data)


class Trouble:
    """Counts what could not be read; without --keep-going the first is the last."""

    def __init__(self, keep_going):
        self.keep_going, self.count = keep_going, 0

    def report(self, what):
        if not self.keep_going:
            raise Refused(what)
        self.count += 1
        say(what)


def sealed_frames(store, folder, names, level, output, trouble):
    """Writes the frames of all segments, each checked. Returns the bytes of tar stream."""
    number = total = 0
    for name in names:
        with open(os.path.join(folder, name), "rb") as f:
            while True:
                header = f.read(HEADER.size)
                if not header:
                    break
                what = "frame %d in segment %s" % (number, name)
                if len(header) < HEADER.size or header[:4] != b"FzF1":
                    trouble.report(what + " has no header: what follows in this segment cannot be found")
                    break
                _, _, method, _, _, stored_number, raw_bytes, payload_bytes, _ = HEADER.unpack(header)
                if raw_bytes > MAX_RAW_BYTES or payload_bytes > 2 * MAX_RAW_BYTES or method > 4:
                    trouble.report(what + " has a header that cannot be: what follows in this segment cannot be found")
                    break
                payload, tag = f.read(payload_bytes), f.read(TAG_BYTES)
                try:
                    data = store.open_frame(level, STREAM, header, payload, tag)
                    if stored_number < number or stored_number > number and not trouble.count:
                        raise Refused("is number %d: frames are missing or in the wrong order" % stored_number)
                    number = stored_number
                except Refused as e:
                    trouble.report("%s %s: filler takes its place" % (what, e) if trouble.keep_going else "%s %s" % (what, e))
                    method, data = 0, (FILLER * (raw_bytes // len(FILLER) + 1))[:raw_bytes]
                output.write(method, data)
                number, total = number + 1, total + raw_bytes
    return total


def write_level(store, backup, level, trouble):
    manifest = store.manifest(backup, level)
    own = manifest["levels"][0]
    folder = os.path.join(store.path, "data", backup, level, "segments")
    want = ["%08d" % n for n in range(own["segments"])]
    there = set(os.listdir(folder))
    for name in want:
        if name not in there:
            trouble.report("segment %s is missing" % name)
    names, output = [n for n in want if n in there], Output()
    if store.encryption:
        total = sealed_frames(store, folder, names, level, output, trouble)
        if total != own["stream_bytes"]:
            trouble.report("the stream has %d bytes and should have %d" % (total, own["stream_bytes"]))
    else:
        bare_frames(store, folder, names, METHODS[own["compression"]], output)
    output.finish()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("store", metavar="STORE", help="the folder that holds freezer.json")
    ap.add_argument("level", metavar="HOST/NAME[/LEVEL]", nargs="?")
    ap.add_argument("--pass-file", metavar="FILE", help="the passphrase is its first line; without this option it is asked for")
    ap.add_argument("--keep-going", action="store_true", help="put filler in place of frames that are damaged, name them, exit with 3")
    args = ap.parse_args()
    try:
        store = Store(args.store, args.pass_file)
        levels = list(store.levels())
        if not args.level:
            for backup, level in levels:
                m = store.manifest(backup, level)
                print("%s/%s\tlevel %d\t%s\t%d entries" % (urllib.parse.unquote(backup), level, m["level"], m["started"], m["counts"]["entries"]))
            return 0
        chosen = [(b, l) for b, l in levels if args.level in (b, b + "/" + l, urllib.parse.unquote(b), urllib.parse.unquote(b) + "/" + l)]
        if not chosen:
            raise Refused("there is no level %s; without it this program lists what there is" % args.level)
        if sys.stdout.isatty():
            raise Refused("a tar stream is nothing for a terminal: redirect it into a file or into tar")
        trouble = Trouble(args.keep_going)
        write_level(store, *chosen[-1], trouble)
        return 3 if trouble.count else 0
    except (Refused, OSError, subprocess.CalledProcessError) as e:
        say(e)
        return 1
    except (KeyError, TypeError, ValueError) as e:
        say("a document of the store is not in the format:", repr(e))
        return 1


if __name__ == "__main__":
    sys.exit(main())
