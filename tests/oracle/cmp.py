# compare two trees completely: cmp.py A B [--noctime]
import os, sys, stat, hashlib


def scan(r):
    r = os.fsencode(r)
    out = {}
    ino = {}

    def one(p, rel):
        st = os.lstat(p)
        d = {
            "t": stat.S_IFMT(st.st_mode),
            "m": stat.S_IMODE(st.st_mode),
            "u": st.st_uid,
            "g": st.st_gid,
            "mt": st.st_mtime_ns,
        }
        if stat.S_ISREG(st.st_mode):
            h = hashlib.sha256()
            with open(p, "rb") as f:
                for b in iter(lambda: f.read(1 << 20), b""):
                    h.update(b)
            d["size"] = st.st_size
            d["sha"] = h.hexdigest()
            d["blk"] = st.st_blocks
        if stat.S_ISLNK(st.st_mode):
            d["l"] = os.readlink(p)
        if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
            d["rdev"] = st.st_rdev
        d["x"] = sorted(
            (a, os.getxattr(p, a, follow_symlinks=False))
            for a in os.listxattr(p, follow_symlinks=False)
        )
        if not stat.S_ISDIR(st.st_mode):
            ino.setdefault((st.st_dev, st.st_ino), []).append(rel)
        out[rel] = d
        if stat.S_ISDIR(st.st_mode):
            for n in sorted(os.listdir(p)):
                one(os.path.join(p, n), rel + b"/" + n)

    one(r, b".")
    for g in ino.values():
        for x in g:
            out[x]["hl"] = sorted(g)
    return out


a, b = scan(sys.argv[1]), scan(sys.argv[2])
n = 0
for k in sorted(set(a) | set(b)):
    if k not in a:
        print("only B", k)
        n += 1
        continue
    if k not in b:
        if a[k]["t"] == stat.S_IFSOCK:
            continue
        print("only A", k)
        n += 1
        continue
    for f in a[k]:
        if f == "blk":
            if abs(a[k][f] - b[k].get(f, 0)) > 16 and "--blk" in sys.argv:
                print("blocks", k, a[k][f], b[k].get(f))
                n += 1
            continue
        if a[k][f] != b[k].get(f):
            print("differs", k, f, a[k][f], b[k].get(f))
            n += 1
print(len(a), "entries,", n, "differences")
sys.exit(n > 0)
