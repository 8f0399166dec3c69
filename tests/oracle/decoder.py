#!/usr/bin/env python3
"""An independent decoder of Freezer stores, written from docs/format.md and docs/format/*.md alone.
It shares no code with Freezer or with the rescue script.

    decoder.py STORE list                       all points in time
    decoder.py STORE ls    HOST/NAME[@ID]       the whole tree, one line for each entry
    decoder.py STORE dump  HOST/NAME[@ID]       the whole tree as JSON lines, with SHA-256
    decoder.py STORE x     HOST/NAME[@ID] DIR   extracts into DIR, which is made or empty
    decoder.py STORE verify HOST/NAME[@ID]      checks what no reader needs: live ranges, heads,
                                                signatures (one block in 37), the parent
    decoder.py STORE check                      checks all points in time, and reads all content
    decoder.py STORE tar   HOST/NAME ID         the raw tar stream of a level to standard output
    --pass-file FILE

ID: an id or the beginning of one, or serial=N; without it, the newest. It ends with 0 when all is
right, with 1 when it stopped, with 3 when single files could not be read.
"""

import argparse
import hashlib
import json
import os
import stat
import sys

from checks import check_hash, verify
from frames import ID_RE, Bad, Store, esc, need
from trees import KIND, Point

# What a document that is not in the format leads to.
ODD = (OSError, KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


# ---------------------------------------------------------------- commands
def choose(st, spec):
    hn, _, at = spec.partition("@")
    for h, n in st.places(*hn.split("/", 1)):
        ids = [x for x in st.ls("manifests/%s/%s" % (h, n)) if ID_RE.match(x)]
        if ids:
            break
    need(ids, "no such backup: %s" % spec)
    manifests = [st.manifest(h, n, i) for i in ids if at.startswith("serial=") or i.startswith(at)]
    if at.startswith("serial="):
        manifests = [m for m in manifests if m["serial"] == int(at[7:])]
    need(manifests, "no such point in time")
    return h, n, max(manifests, key=lambda m: m["serial"])


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


def described(path, e, link, sha256):
    """An entry as JSON; bytes as Latin-1."""
    s = lambda b: b.decode("latin-1")
    return {
        "path": s(path),
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
        "extents": [[at, length] for at, _, _, length in e.ext],
        "sha256": sha256,
    }


def dump(pt, out):
    """Prints the tree. Returns how many files could not be read; they are not printed."""
    bad = 0
    for comps, e, link in pt.tree():
        path = b"/".join(comps)
        try:
            sha256 = sha_content(pt, e) if e.kind == 0 else None
            if e.hash:
                check_hash(pt, e)
        except (Bad, OSError) as x:
            bad += 1
            print("decoder: %r: %s" % (path, x), file=sys.stderr)
            continue
        print(json.dumps(described(path, e, link, sha256)), file=out)
    return bad


def line_of(comps, e, link):
    name = lambda parts: os.fsdecode(b"/".join(parts)).encode("unicode_escape", "surrogateescape")
    return "%s%04o %d:%d %d %d.%09d %s%s" % (
        KIND[e.kind],
        e.mode,
        e.uid,
        e.gid,
        e.size,
        e.mtime,
        e.mns,
        name(comps).decode() or ".",
        " = " + name(link).decode() if link else "",
    )


def points(st):
    for h, n in st.backups():
        for i in filter(ID_RE.match, st.ls("manifests/%s/%s" % (h, n))):
            yield h, n, i


def list_points(st):
    bad = 0
    for h, n, i in points(st):
        try:
            m = st.manifest(h, n, i)
        except (Bad, *ODD) as x:
            bad += 1
            print(h + "/" + n, i, "UNREADABLE: %s" % x, sep="  ")
            continue
        leans = [level["serial"] for level in m["levels"]]
        runs = len(m["index"])
        print(
            m["host"] + "/" + m["name"],
            i,
            "serial",
            m["serial"],
            "level",
            m["level"],
            "runs",
            runs,
            "leans on",
            leans,
            m["engine"],
            sep="  ",
        )
    return bad


def check(st):
    """All points in time, and all that is in them. Returns how many are not right."""
    bad = 0
    for h, n, i in points(st):
        try:
            m = st.manifest(h, n, i)
            pt = Point(st, h, n, m)
            counts, remark = verify(st, h, n, m, pt)
            with open(os.devnull, "w") as nothing:
                need(not dump(pt, nothing), "files cannot be read")
            print(i, "serial", m["serial"], counts, remark or "")
        except (Bad, *ODD) as x:
            bad += 1
            print("decoder: %s/%s/%s: %s" % (h, n, i, x), file=sys.stderr)
    return bad


def raw_stream(level, out):
    pos = 0
    while pos < level.d["stream_bytes"]:
        begin, data = level.frame(pos)
        need(begin == pos, "frames do not cover the stream")
        out.write(data)
        pos += len(data)


def run(a):
    pw = None
    if a.pass_file:
        with open(a.pass_file, "rb") as f:
            pw = f.read().split(b"\n")[0]
        pw = pw[:-1] if pw.endswith(b"\r") else pw
    st = Store(a.store, pw)
    if a.cmd in ("list", "check"):
        return (list_points if a.cmd == "list" else check)(st)
    need(a.arg, "which backup?")
    h, n, m = choose(st, a.arg[0])
    if a.cmd == "manifest":
        print(json.dumps(m, indent=1))
        return 0
    pt = Point(st, h, n, m)
    if a.cmd == "ls":
        for entry in pt.tree():
            print(line_of(*entry))
    elif a.cmd == "dump":
        return dump(pt, sys.stdout)
    elif a.cmd == "x":
        return extract(pt, a.arg[1], lambda t: print("decoder:", t, file=sys.stderr))
    elif a.cmd == "verify":
        print(m["id"], "serial", m["serial"], *verify(st, h, n, m, pt))
    elif a.cmd == "tar":
        raw_stream(pt.levels[m["serial"]], sys.stdout.buffer)
    else:
        raise Bad("unknown command")
    return 0


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--pass-file")
    ap.add_argument("store")
    ap.add_argument("cmd")
    ap.add_argument("arg", nargs="*")
    try:
        return 3 if run(ap.parse_args()) else 0
    except (Bad, *ODD) as e:
        print("decoder: %s" % (e if isinstance(e, (Bad, OSError)) else repr(e)), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
