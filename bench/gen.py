#!/usr/bin/env python3
"""Deterministic data sets for the backup benchmark (python3 stdlib only).

  gen.py [--dir DIR] [--scale S] [SET ...]     make the sets (default: src many big)
  gen.py --churn ROUND TREE                    change TREE in place: incremental round ROUND

DIR defaults to $BENCH_DIR/data-S, and BENCH_DIR to <user's temp dir>/freezer-bench.
At --scale 1:  SRC  ~80k files, 1.3 GB: the Linux 6.1 source (Debian package linux-source-6.1,
               downloaded with apt-get; or any tar given in BENCH_SRC_TAR; else copied from this
               machine's own /usr trees)
               MANY 500k files of 0-4 KiB, 20k folders, up to 6 deep, with links and odd names
               BIG  1 GiB each: random.bin (incompressible), log.txt (text), vm.img (sparse image),
               db.sqlite (database).  Same scale + same SRC source => same bytes.
Sets of one size, whatever the scale, in data-fixed beside DIR:
               n50k, n500k  MANY with 50,000 and 500,000 files: how time and memory grow with the
                            number of files
               pair         two text files of 96 MiB: one reader against two
               image        a disk image of 4 GiB, 60 % of it data, the rest holes
"""

import argparse, hashlib, os, random, shutil, sqlite3
import struct, subprocess, sys, tarfile, tempfile, time

BENCH_DIR = os.environ.get("BENCH_DIR") or os.path.join(tempfile.gettempdir(), "freezer-bench")
MTIME0 = 1_700_000_000


def rng(*key):
    return random.Random("/".join(map(str, key)))


def stable(s):  # 0 <= x < 1, the same everywhere
    return (
        int.from_bytes(hashlib.sha256(s.encode("utf-8", "surrogateescape")).digest()[:6], "big")
        / 2**48
    )


# ---------------------------------------------------------------- SRC
def src_stream():
    """A readable file object of a tar of the source tree, plus a closer; None if there is no
    package."""
    t = os.environ.get("BENCH_SRC_TAR")
    if not t:
        cache = os.path.join(BENCH_DIR, "cache")
        os.makedirs(cache, exist_ok=True)
        t = os.path.join(cache, "linux-source.tar")
        if not os.path.exists(t):
            debs = [
                f for f in os.listdir(cache) if f.startswith("linux-source-") and f.endswith(".deb")
            ]
            if not debs and shutil.which("apt-get"):
                subprocess.run(
                    ["apt-get", "download", "linux-source-6.1"],
                    cwd=cache,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                debs = [
                    f
                    for f in os.listdir(cache)
                    if f.startswith("linux-source-") and f.endswith(".deb")
                ]
            if not debs:
                return None
            cmd = (
                "dpkg-deb --fsys-tarfile '%s'"
                " | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc -T0 "
                "> '%s.tmp' && mv '%s.tmp' '%s'" % (os.path.join(cache, debs[0]), t, t, t)
            )
            if subprocess.run(["bash", "-o", "pipefail", "-c", cmd]).returncode:
                return None
    return t


def gen_src(out, scale):
    tmp = out + ".tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    t = src_stream()
    if t:
        with tarfile.open(t) as tf, open(tmp + ".list", "wb") as lst:
            for m in tf:
                p = m.name.split("/")
                grp = "/".join(p[1:4]) if len(p) > 4 else "/".join(p[1:])
                if m.isdir() or len(p) < 2:
                    continue
                if scale >= 1 or stable(grp) < scale:
                    lst.write(os.fsencode(m.name) + b"\0")
        subprocess.run(
            [
                "tar",
                "-xf",
                t,
                "-C",
                tmp,
                "--strip-components=1",
                "--no-recursion",
                "--null",
                "--verbatim-files-from",
                "-T",
                tmp + ".list",
            ],
            check=True,
        )
        os.unlink(tmp + ".list")
    else:  # no package: copy what this machine has
        n, limit = 0, int(80000 * scale)
        for root in (
            "/usr/include",
            "/usr/lib/python3",
            "/usr/share/doc",
            "/usr/share",
            "/usr/lib",
        ):
            for d, ds, fs in os.walk(root):
                ds.sort()
                for f in sorted(fs):
                    s = os.path.join(d, f)
                    if (
                        n >= limit
                        or os.path.islink(s)
                        or not os.path.isfile(s)
                        or os.path.getsize(s) > 8 << 20
                    ):
                        continue
                    o = tmp + s
                    os.makedirs(os.path.dirname(o), exist_ok=True)
                    if not os.path.exists(o):
                        shutil.copy2(s, o)
                        n += 1
    os.rename(tmp, out)


# ---------------------------------------------------------------- MANY
WORDS = (
    "alpha beta gamma delta error warning info request response user session token value "
    "index cache frame "
    "segment backup restore mount the of and to in is for with on this that from by not "
    "are be as it data "
    "return static const struct int void char if else while config option path file name "
    "size mode time"
).split()


def text_pool(r, n):
    b = bytearray()
    while len(b) < n:
        b += (" ".join(r.choices(WORDS, k=10)) + " %d\n" % r.getrandbits(24)).encode()
    return bytes(b[:n])


def gen_many(out, scale):
    tmp = out + ".tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    n, per = int(500_000 * scale), 25
    r = rng("many")
    text, rnd = text_pool(r, 1 << 20), r.randbytes(1 << 20)
    i = leaf = 0
    while i < n:
        q, parts = leaf, []
        for base in (7, 7, 7, 7, 9):  # deep tree, folders that fill from the bottom
            parts.append("d%d" % (q % base))
            q //= base
        parts.append("leaf%d" % q)
        d = os.path.join(tmp, *reversed(parts))
        os.makedirs(d, exist_ok=True)
        for k in range(min(per, n - i)):
            p = os.path.join(
                d, ("f%07d" % i) + (".txt", ".dat", ".json", " a b", "-\u00e9\u4e2d")[i % 5]
            )
            if i % 97 == 5 and k:
                os.symlink("f%07d" % (i - 1), p)
            else:
                size = r.getrandbits(12)
                if i % 50 == 0:
                    body = b""
                elif i % 4 == 0:
                    o = r.randrange((1 << 20) - 4096)
                    body = rnd[o : o + size]
                else:
                    o = r.randrange((1 << 20) - 4096)
                    body = b"%d %d\n" % (i, r.getrandbits(40)) + text[o : o + size]
                fd = os.open(p, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 if i % 11 else 0o755)
                os.write(fd, body)
                os.utime(fd, (MTIME0 + i, MTIME0 + i))
                os.close(fd)
            i += 1
        leaf += 1
    os.rename(tmp, out)


# ---------------------------------------------------------------- PAIR
def gen_pair(out, _scale):
    tmp = out + ".tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    for name in ("a.txt", "b.txt"):
        r = rng("pair", name)
        with open(os.path.join(tmp, name), "wb") as f:
            write_log(f, r, 96 << 20)
    os.rename(tmp, out)


# ---------------------------------------------------------------- BIG
def log_pools(r):
    """What log lines and database rows are made of: users, paths, addresses, messages."""
    users = ["user%05d" % int(r.paretovariate(1.2) * 7) for _ in range(4096)]
    paths = [
        "/api/v%d/%s/%s" % (r.randrange(3), r.choice(WORDS), r.choice(WORDS)) for _ in range(1024)
    ]
    ips = [
        "10.%d.%d.%d" % (r.randrange(4), r.randrange(256), r.randrange(256)) for _ in range(2048)
    ]
    msgs = [" ".join(r.choices(WORDS, k=r.randrange(4, 12))) for _ in range(512)]
    return users, paths, ips, msgs


def write_log(f, r, left):
    """Log lines: time moves on, a few templates, fields from skewed pools, some unique ids. Returns
    the pools."""
    users, paths, ips, msgs = pools = log_pools(r)
    t, bits = MTIME0 * 1000, r.getrandbits
    while left > 0:
        b = []
        for _ in range(20000):
            x = bits(64)
            t += x & 63
            if x & 0x300:
                b.append(
                    "%d.%03d INFO  [w-%d] %s %s GET %s?id=%d 200 %dus\n"
                    % (
                        t // 1000,
                        t % 1000,
                        x >> 6 & 3,
                        ips[x >> 10 & 2047],
                        users[x >> 21 & 4095],
                        paths[x >> 33 & 1023],
                        x >> 43 & 0xFFFFF,
                        x >> 50 & 0x3FFF,
                    )
                )
            else:
                b.append(
                    "%d.%03d WARN  [w-%d] %s trace=%016x\n"
                    % (
                        t // 1000,
                        t % 1000,
                        x >> 6 & 3,
                        msgs[x >> 10 & 511],
                        x * 0x9E3779B97F4A7C15 & 2**64 - 1,
                    )
                )
        s = "".join(b).encode()[:left]
        f.write(s)
        left -= len(s)
    return pools


def gen_big(out, scale):
    tmp = out + ".tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    size = int((1 << 30) * scale) & ~4095
    r = rng("big-random")
    with open(tmp + "/random.bin", "wb") as f:
        for _ in range(size >> 16):
            f.write(r.randbytes(1 << 16))
        f.write(r.randbytes(size - f.tell()))
    with open(tmp + "/log.txt", "wb") as f:
        users, paths, _, msgs = write_log(f, rng("big-log"), size)
    # sparse image: ~40% of it written, in extents of 4 KiB..4 MiB: text, random, zeros, 4 KiB pages
    # with headers
    r = rng("big-vm")
    text = text_pool(r, 4 << 20)
    with open(tmp + "/vm.img", "wb") as f:
        f.truncate(size)
        pos = 0
        while pos < size:
            ln = min(4096 << r.randrange(11), size - pos)
            kind = r.randrange(10)
            f.seek(pos)
            if kind < 2:
                o = r.randrange(len(text))
                f.write((text[o:] + text + text)[:ln])
            elif kind < 3:
                f.write(r.randbytes(ln))
            elif kind < 5:
                f.write(
                    b"".join(
                        struct.pack("<QQ", pos + k, r.getrandbits(60)).ljust(1024, b"\0")
                        + r.randbytes(512)
                        + text[(pos + k) % 4000000 :][:2560]
                        for k in range(0, ln, 4096)
                    )[:ln]
                )
            elif kind == 5:
                f.write(bytes(ln))
            pos += ln
    # a database: rows of mixed types, two indexes
    r = rng("big-db")
    db = sqlite3.connect(tmp + "/db.sqlite", isolation_level=None)
    db.executescript(
        "pragma page_size=4096; pragma journal_mode=off; pragma synchronous=off;"
        " pragma cache_size=-65536;"
        "create table t(id integer primary key, k blob, user text, path text, n integer,"
        " body text);"
        "create table u(id integer primary key, v real, b blob); create index tu on t(user);"
    )
    n = 0
    while os.path.getsize(tmp + "/db.sqlite") < size - (6 << 20):
        db.execute("begin")
        db.executemany(
            "insert into t values(?,?,?,?,?,?)",
            (
                (
                    n + k,
                    r.randbytes(16),
                    users[r.getrandbits(12)],
                    paths[r.getrandbits(10)],
                    r.getrandbits(30),
                    msgs[r.getrandbits(9)] + " " + msgs[r.getrandbits(9)],
                )
                for k in range(8192)
            ),
        )
        db.executemany(
            "insert into u values(?,?,?)",
            ((n + k, r.random(), r.randbytes(24)) for k in range(8192)),
        )
        db.execute("commit")
        n += 8192
    db.close()
    for f in os.listdir(tmp):
        os.utime(os.path.join(tmp, f), (MTIME0, MTIME0))
    os.rename(tmp, out)


# ---------------------------------------------------------------- IMAGE
IMAGE_BYTES = 4 << 30


def image_runs():
    """Where the image has data: runs of 64 KiB to 4 MiB."""
    r, at, runs = rng("image"), 0, []
    while at < IMAGE_BYTES:
        length = min(65536 << r.randrange(7), IMAGE_BYTES - at)
        if r.random() < 0.6:
            runs.append((at, length))
        at += length
    return runs


def gen_image(out, _scale):
    tmp = out + ".tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    r = rng("image-data")
    with open(tmp + "/disk.img", "wb") as f:
        f.truncate(IMAGE_BYTES)
        for at, length in image_runs():
            f.seek(at)
            for _ in range(length >> 16):
                f.write(r.randbytes(1 << 16))
    os.rename(tmp, out)


def change_image(tree, rnd):
    """Writes 1 % of the pages of data anew, at random places. Returns how many bytes that is, and
    how many are data."""
    pages = [at for start, length in image_runs() for at in range(start, start + length, 4096)]
    r = rng("image-change", rnd)
    changed = r.sample(pages, len(pages) // 100)
    with open(tree + "/disk.img", "r+b") as f:
        for at in changed:
            f.seek(at)
            f.write(r.randbytes(4096))
    return len(changed) * 4096, len(pages) * 4096


# ---------------------------------------------------------------- CHURN
def churn(tree, rnd):
    """1% of files edited in place, 0.2% appended to, 0.2% mode changed, 0.1% deleted, 0.1% renamed,
    0.1% new."""
    files = []
    for d, ds, fs in os.walk(tree):
        ds.sort()
        files += [os.path.join(d, f) for f in sorted(fs) if not os.path.islink(os.path.join(d, f))]
    r, n = rng("churn", rnd), len(files)
    c = lambda frac: max(1, int(n * frac))
    pick = r.sample(files, min(n, c(0.01) + 2 * c(0.002) + 3 * c(0.001)))
    it, now = iter(pick), MTIME0 + 10_000_000 + rnd * 86400
    take = lambda k: [p for _, p in zip(range(k), it)]

    def touch(p):
        os.utime(p, (now, now))

    for p in take(c(0.01)):
        with open(p, "r+b") as f:
            ln = os.path.getsize(p)
            f.seek(r.randrange(ln + 1))
            f.write(b"/* churn %d %d */" % (rnd, r.getrandbits(30)))
        touch(p)
    for p in take(c(0.002)):
        with open(p, "ab") as f:
            f.write(text_pool(r, r.randrange(1, 20000)))
        touch(p)
    for p in take(c(0.002)):
        os.chmod(p, os.stat(p).st_mode & 0o777 ^ 0o111)
    for p in take(c(0.001)):
        os.unlink(p)
    for p in take(c(0.001)):
        os.rename(p, p + ".r%d" % rnd)
    for p in take(c(0.001)):
        q = p + ".new%d" % rnd
        with open(q, "wb") as f:
            f.write(text_pool(r, r.randrange(1, 40000)))
        touch(q)
    return n


SCALED = {"src": gen_src, "many": gen_many, "big": gen_big}
FIXED = {
    "n50k": lambda out, _: gen_many(out, 0.1),
    "n500k": lambda out, _: gen_many(out, 1),
    "pair": gen_pair,
    "image": gen_image,
}


def ensure(root, scale, sets):
    """Makes what is missing of `sets` and returns where each set is."""
    where = {}
    for s in sets:
        where[s] = out = os.path.join(
            root if s in SCALED else os.path.join(os.path.dirname(root), "data-fixed"), s
        )
        if not os.path.isdir(out):
            os.makedirs(os.path.dirname(out), exist_ok=True)
            t = time.time()
            {**SCALED, **FIXED}[s](out, scale)
            print("gen: %s scale %g in %.1fs" % (out, scale, time.time() - t), file=sys.stderr)
    return where


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--dir")
    ap.add_argument("--scale", type=float, default=0.1)
    ap.add_argument("--churn", type=int, metavar="ROUND")
    ap.add_argument("what", nargs="*", help="a set, or the tree to churn")
    a = ap.parse_args()
    if a.churn is not None:
        print(churn(a.what[0], a.churn), "files before")
        return
    ensure(a.dir or os.path.join(BENCH_DIR, "data-%g" % a.scale), a.scale, a.what or list(SCALED))


if __name__ == "__main__":
    main()
