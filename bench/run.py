#!/usr/bin/env python3
"""Side-by-side backup benchmark: adapters in peers/*.sh, data from gen.py. python3 stdlib only,
Linux.

  run.py --table --scale 0.5                      what the table of targets needs, and the table
                                                  (bench/run does it all)
  run.py --table levels --scale 0.5               the same for later levels
  run.py --scale 0.1                              every installed tool, every workload
  run.py --tools restic,borg,freezer --workloads full,incr,mount
  run.py --list

Workloads:  full     full backup of each set (time, CPU, peak RSS, stored bytes)
            incr     second backup of src and n500k with no change, then of src --rounds rounds of
                     churn (needs 'full')
            restore  full restore of each set, then a check against the source
            mount    on src, many, n50k, n500k: time to first ls (fresh client; again: with its
                     cache), find -size, the same again, ls -lR; on src also cp -a and grep -r; FUSE
                     requests where the tool counts them, daemon RSS
            big      on big: cat of each file (fresh mount), random 4 KiB preads, two readers at
                     once
            pair     ours alone: one reader and two readers, for each compression
            image    on a copy of image: a full backup, 1 % of its pages changed, and another; ours
                     with the engine rsync
            deep     ours alone: random 4 KiB preads of a file after 30 levels of the engine rsync,
                     against the same in level 0
            snaps    mount time and ls with 1, 10, 50 snapshots
            prune    ours alone: mounting and reading snapshot 1,000 of 100 and of 10,000 files
                     against snapshot 1, removing 997 of the 1,000, and mounting and reading again
            find     a search for names over 100 snapshots of 100,000 files, 1 % of them changed in
                     each
            far      ours alone: a mount over Swift with 20 ms more to each round trip: first ls of
                     n500k, cat of a file of scale GiB, against curl and swift through the same
                     relay
            stores   64 MiB objects put and got on Swift, S3 and SFTP, and parts of them read,
                     against the clients of each
            limits   cp -a, dd, openssl, zstd, gzip on one core: what the machine can do

All tools run in turn inside each repetition (A B C A B C ...), ours first, so drift hits them
alike. Wall times on a busy machine are noisy: the CPU column (user+system, all processes) and the
ratios are steadier.
Environment: BENCH_DIR (default <tmp>/freezer-bench), PATH finds the tools.
"""

import argparse, datetime, filecmp, json, os, platform, random
import shutil, signal, stat, statistics, subprocess, sys, time

import gen
from measure import (
    BENCH_DIR,
    HERE,
    OUT_DIR,
    PEERS,
    TRASH,
    Cut,
    Mount,
    Proc,
    Settings,
    Tool,
    du,
    evict,
    log,
    q,
    rmtree,
    timed,
    warm,
)
import far
from table import PLANS, Everything, Table

RESULTS = []  # (workload, metric, tool, unit, value)


def add(workload, metric, tool, unit, value):
    if value is not None:
        RESULTS.append((workload, metric, tool, unit, value))


# ------------------------------------------------------------- workloads
def record(w, tool, r):
    if r.rc == 0:
        add(w, "wall", tool.name, "s", r.wall)
        add(w, "cpu", tool.name, "s", r.cpu)
        add(w, "rss", tool.name, "MiB", r.rss / 1024)
    return r.rc == 0


def w_full(tools, sets):
    for s in sets:
        for rep in range(ARGS.reps):
            for t in tools:
                if not PLAN.takes_part(t.name, "full " + s, rep) or not t.fresh(s):
                    continue
                warm(DATA[s])
                r = t.call("backup", s, SRC=DATA[s], NAME="s0", SEQ=0, limit=ARGS.limit)
                if record("full " + s, t, r):
                    HAVE[t.name, s] = "s0"
                    if rep == 0:
                        add("full " + s, "stored", t.name, "MB", du(t.dirs(s)["REPO"]) / 1e6)
                    log(
                        "full %s %s: %.1fs cpu %.1fs rss %d MiB"
                        % (s, t.name, r.wall, r.cpu, r.rss >> 10)
                    )


def w_incr(tools, sets):
    for s in sets:
        if s in ("src", "n500k"):
            increments(tools, s)


def increments(tools, s):
    """Further backups of a set: `incr-none` with nothing changed, then, of `src`, `incr-churn`
    after each round of changes."""

    def one(t, w, rep, name):
        if not PLAN.takes_part(t.name, w, rep):
            return
        before = du(t.dirs(s)["REPO"])
        warm(DATA[s])
        r = t.call("backup_incr", s, SRC=DATA[s], NAME=name, SEQ=SEQ.bump(t, s), limit=ARGS.limit)
        if record(w, t, r):
            HAVE[t.name, s] = name
            add(w, "added", t.name, "MB", (du(t.dirs(s)["REPO"]) - before) / 1e6)
            log("%s %s: %.2fs cpu %.2fs" % (w, t.name, r.wall, r.cpu))

    tools = [t for t in tools if t.can("backup_incr") and (t.name, s) in HAVE]
    for rep in range(ARGS.reps):
        for t in tools:
            one(t, "incr-none " + s, rep, "n%d" % rep)
    for rnd in range(1, ARGS.rounds + 1 if s == "src" else 1):
        gen.churn(DATA[s], rnd)
        for t in tools:
            one(t, "incr-churn " + s, rnd - 1, "c%d" % rnd)


class Seq(dict):
    def bump(self, t, s):
        self[t.name, s] = self.get((t.name, s), 0) + 1
        return self[t.name, s]


def same(a, b):
    """None when tree b equals tree a (names, types, modes, sizes, mtimes, contents of 300 files),
    else the first difference."""
    n, files = 0, []
    for d, ds, fs in os.walk(a):
        ds.sort()
        r = os.path.relpath(d, a)
        for f in sorted(fs) + ds:
            p, o = os.path.join(d, f), os.path.join(b, r, f)
            x = os.lstat(p)
            try:
                y = os.lstat(o)
            except OSError:
                return "missing " + os.path.join(r, f)
            if stat.S_IFMT(x.st_mode) != stat.S_IFMT(y.st_mode) or (
                stat.S_ISREG(x.st_mode)
                and (
                    x.st_size != y.st_size
                    or x.st_mode != y.st_mode
                    or int(x.st_mtime) != int(y.st_mtime)
                )
            ):
                return "differs " + os.path.join(r, f)
            n += 1
            if stat.S_ISREG(x.st_mode):
                files.append((p, o))
    if sum(len(ds) + len(fs) for _, ds, fs in os.walk(b)) != n:
        return "extra entries"
    for p, o in random.Random(1).sample(files, min(300, len(files))):
        if not filecmp.cmp(p, o, shallow=False):
            return "content " + p
    return None


def w_restore(tools, sets):
    for s in sets:
        for rep in range(ARGS.reps):
            for t in tools:
                if (
                    (t.name, s) not in HAVE
                    or not t.can("restore")
                    or not PLAN.takes_part(t.name, "restore " + s, rep)
                ):
                    continue
                if (
                    t.ref and s == "src" and ARGS.rounds and rep == 0
                ):  # the reference has no increments: renew it
                    t.fresh(s), t.call("backup", s, SRC=DATA[s])
                d = t.dirs(s)
                rmtree(d["DST"])
                os.makedirs(d["DST"])
                if (
                    not t.ref
                ):  # the reference stays warm: 80k cold loose files would make it no limit at all
                    evict(d["REPO"])
                r = t.call(
                    "restore",
                    s,
                    NAME=HAVE[t.name, s],
                    SEQ=SEQ.get((t.name, s), 0),
                    limit=ARGS.limit,
                )
                bad = r.rc or (
                    same(DATA[s], d["DST"])
                    if rep == 0
                    and not (s == "src" and SEQ and not t.ref and not t.can("backup_incr"))
                    else None
                )
                if bad:
                    log("  !! restore %s %s: %s" % (s, t.name, bad))
                    add("restore " + s, "check", t.name, "", str(bad)[:60])
                if record("restore " + s, t, r):
                    log("restore %s %s: %.1fs cpu %.1fs" % (s, t.name, r.wall, r.cpu))
                rmtree(d["DST"])
                os.makedirs(d["DST"])


def asked(m, before):
    """FUSE requests since `before`."""
    now = m.requests()
    return None if now is None or before is None else now - before


def w_mount(tools, sets):
    scratch = os.path.join(OUT_DIR, "scratch")
    for s in sets:
        w, files = "mount " + s, sum(len(fs) for _, _, fs in os.walk(DATA[s]))
        want = sum(len(ds) for _, ds, _ in os.walk(DATA[s])) + files + 1
        for rep in range(ARGS.reps):
            for t in tools:
                if (
                    (t.name, s) not in HAVE
                    or not t.can("mount")
                    or not PLAN.takes_part(t.name, w, rep)
                ):
                    continue
                kw = {"NAME": HAVE[t.name, s]}
                cut = lambda metric: PLAN.limit(w, metric, t.name)
                with Mount(t, s, fresh=True, **kw) as m:
                    if m.ready is None:
                        continue
                    add(w, "first ls, fresh client", t.name, "s", m.ready)
                    find = "find %s -size -1073741824c | wc -l" % q(m.root)
                    add(
                        w,
                        "find -size",
                        t.name,
                        "s",
                        timed("test $(%s) = %d" % (find, want), cut("find -size")),
                    )
                    if not (ARGS.table and s.startswith("n")):
                        ls = "ls -lR %s | tail -1" % q(m.root)
                        for name, cmd in (
                            ("find -size again", find),
                            ("ls -lR", ls),
                            ("ls -lR again", ls),
                        ):
                            if (
                                name == "ls -lR again" and not t.counts()
                            ):  # the first has asked for the links' targets
                                break
                            n = m.requests()
                            add(w, name, t.name, "s", timed(cmd, cut(name)))
                            add(w, name + ", requests", t.name, "", asked(m, n))
                    add(w, "rss after find", t.name, "MiB", m.peak() / 1024)
                    log("mount %s %s: ls %.3fs rss %d MiB" % (s, t.name, m.ready, m.peak() >> 10))
                    if s != "src" and not (s == "many" and ARGS.many_read):
                        continue
                    rmtree(scratch)
                    os.makedirs(os.path.dirname(scratch), exist_ok=True)
                    c, n = m.cpu(), m.requests()
                    x = timed("cp -a %s. %s/" % (q(m.root), q(scratch)), cut("cp -a"))
                    add(w, "cp -a", t.name, "s", x)
                    if x is not None and not isinstance(x, Cut):
                        add(w, "cp -a daemon cpu", t.name, "s", m.cpu() - c)
                        n = asked(m, n)
                        add(w, "cp -a, requests a file", t.name, "", n and n / files)
                        bad = same(DATA[s], scratch) if rep == 0 and t.name in ARGS.ours else None
                        if bad:
                            log("  !! cp -a %s %s: %s" % (s, t.name, bad))
                            add(w, "cp -a check", t.name, "", str(bad)[:60])
                    rmtree(scratch)
                    add(w, "rss peak", t.name, "MiB", m.peak() / 1024)
                with Mount(t, s, fresh=ARGS.table, **kw) as m:
                    if m.ready is None:
                        continue
                    if not ARGS.table:
                        add(w, "first ls, with cache", t.name, "s", m.ready)
                    grep = "grep -r EXPORT_SYMBOL_GPL %s | wc -l" % q(m.root)
                    add(
                        w,
                        "grep -r, fresh mount",
                        t.name,
                        "s",
                        timed(grep, cut("grep -r, fresh mount")),
                    )
                    if not ARGS.table:
                        add(w, "grep -r again", t.name, "s", timed(grep))


def preads(path, n, seed, limit=60.0):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    pages, r, out = os.fstat(fd).st_size >> 12, random.Random(seed), []
    end = time.monotonic() + limit
    for _ in range(n):
        o = r.randrange(pages) << 12
        a = time.perf_counter_ns()
        os.pread(fd, 4096, o)
        out.append(time.perf_counter_ns() - a)
        if time.monotonic() > end:
            break
    os.close(fd)
    return sorted(out)


def w_big(tools):
    mib = {
        f: os.path.getsize(os.path.join(DATA["big"], f)) / 2**20 for f in os.listdir(DATA["big"])
    }
    w = "mount big"
    for rep in range(ARGS.reps):
        for t in tools:
            if (
                (t.name, "big") not in HAVE
                or not t.can("mount")
                or not PLAN.takes_part(t.name, w, rep)
            ):
                continue
            kw = {"NAME": HAVE[t.name, "big"], "fresh": True}
            for f in (
                ("log.txt", "random.bin")
                if ARGS.table
                else ("log.txt", "random.bin", "vm.img", "db.sqlite")
            ):
                with Mount(t, "big", **kw) as m:
                    if m.ready is None:
                        break
                    if f == "log.txt":
                        add(w, "first ls, fresh client", t.name, "s", m.ready)
                    p, c = os.path.join(m.root, f), m.cpu()
                    x = timed("cat %s > /dev/null" % q(p))
                    if x:
                        add(w, "cat " + f, t.name, "MiB/s", mib[f] / x)
                        add(
                            w,
                            "cat %s daemon cpu" % f,
                            t.name,
                            "s/GiB",
                            (m.cpu() - c) / mib[f] * 1024,
                        )
                    add(w, "rss peak cat", t.name, "MiB", m.peak() / 1024)
            if not t.ref or not ARGS.table:
                for f in ("log.txt", "db.sqlite"):
                    with Mount(t, "big", **kw) as m:
                        if m.ready is None:
                            break
                        l = preads(os.path.join(m.root, f), ARGS.preads, rep, 15.0)
                        add(w, "pread 4K %s p50" % f, t.name, "us", l[len(l) // 2] / 1e3)
                        add(w, "pread 4K %s p99" % f, t.name, "us", l[int(len(l) * 0.99)] / 1e3)
                        add(w, "pread 4K %s per s" % f, t.name, "/s", len(l) / (sum(l) / 1e9))
                        add(w, "rss peak preads", t.name, "MiB", m.peak() / 1024)
            log("big %s done" % t.name)
            if ARGS.table:
                continue
            with Mount(t, "big", **kw) as m:
                if m.ready is None:
                    continue
                x = timed(two_readers(m.root + "log.txt", m.root + "db.sqlite"))
                x and add(w, "2 readers", t.name, "MiB/s", (mib["log.txt"] + mib["db.sqlite"]) / x)
            with Mount(t, "big", **kw) as m:
                if m.ready is None:
                    continue
                timed("cat %s > /dev/null" % q(m.root + "log.txt"))
                t0 = time.monotonic()
                with open(m.root + "vm.img", "rb") as f:
                    f.seek(int(mib["vm.img"]) // 2 << 20)
                    f.read(4096)
                add(w, "1st byte mid-file vm.img", t.name, "ms", (time.monotonic() - t0) * 1e3)


def two_readers(a, b):
    return "cat %s >/dev/null & p=$!; cat %s >/dev/null; wait $p" % (q(a), q(b))


def w_pair(tools):
    """One reader and two readers of our own mount, for each compression."""
    mib = {f: os.path.getsize(os.path.join(DATA["pair"], f)) / 2**20 for f in ("a.txt", "b.txt")}
    for t in tools:
        for codec in ("zstd", "zlib", "xz"):
            if t.name not in ARGS.ours or not t.fresh("pair"):
                continue
            if t.call(
                "backup", "pair", SRC=DATA["pair"], NAME="s0", COMPRESSION=codec, limit=ARGS.limit
            ).rc:
                continue
            for _ in range(ARGS.reps):
                for name, cmd, n in (
                    ("one reader", lambda r: "cat %s >/dev/null" % q(r + "a.txt"), mib["a.txt"]),
                    (
                        "two readers",
                        lambda r: two_readers(r + "a.txt", r + "b.txt"),
                        sum(mib.values()),
                    ),
                ):
                    with Mount(t, "pair", fresh=True, NAME="s0") as m:
                        if m.ready is None:
                            break
                        c = m.cpu()
                        x = timed(cmd(m.root))
                        if x:
                            add("pair", "%s, %s" % (codec, name), t.name, "MiB/s", n / x)
                            add(
                                "pair",
                                "%s, %s: cores busy in the mount" % (codec, name),
                                t.name,
                                "",
                                (m.cpu() - c) / x,
                            )
            log("pair %s %s done" % (codec, t.name))


def live(s):
    """A copy of a set that may be changed."""
    copy = os.path.join(BENCH_DIR, "work", s + "-live")
    rmtree(copy)
    subprocess.run(["cp", "-a", "--sparse=always", DATA[s], copy], check=True)
    return copy


def w_image(tools):
    w, tools = "image", [t for t in tools if t.can("backup_incr") and not t.ref]
    for rep in range(ARGS.reps):
        src = live("image")
        some = [t for t in tools if PLAN.takes_part(t.name, w, rep) and t.fresh("image")]
        kw = lambda t, n: dict(SRC=src, NAME="i%d" % n, SEQ=n, ENGINE="rsync", limit=ARGS.limit)
        some = [t for t in some if record("image full", t, t.call("backup", "image", **kw(t, 0)))]
        changed, data = gen.change_image(src, rep + 1)
        for t in some:
            before = du(t.dirs("image")["REPO"])
            warm(src)
            r = t.call("backup_incr", "image", **kw(t, 1))
            if record(w, t, r):
                added = du(t.dirs("image")["REPO"]) - before
                add(w, "added", t.name, "MB", added / 1e6)
                add(w, "added, of what changed", t.name, "", added / changed)
                add(w, "data per second", t.name, "MB/s", data / 1e6 / r.wall)
                add(w, "data per second of a core", t.name, "MB/s", data / 1e6 / r.cpu)
                log(
                    "image %s: %.1fs cpu %.1fs rss %d MiB, %.1f MB for %.1f"
                    % (t.name, r.wall, r.cpu, r.rss >> 10, added / 1e6, changed / 1e6)
                )


def w_deep(tools):
    for t in tools:
        if t.name not in ARGS.ours or not t.fresh("deep"):
            continue
        src = os.path.join(BENCH_DIR, "work", "deep")
        rmtree(src)
        os.makedirs(src)
        path, r = os.path.join(src, "disk.img"), gen.rng("deep")
        with open(path, "wb") as f:
            for _ in range(512 << 4):
                f.write(r.randbytes(1 << 16))
        for level in range(31):
            if t.call(
                "backup",
                "deep",
                SRC=src,
                NAME="d%d" % level,
                SEQ=level,
                ENGINE="rsync",
                limit=ARGS.limit,
            ).rc:
                return
            for rep in range(ARGS.reps if level in (0, 30) else 0):
                with Mount(t, "deep", fresh=True, NAME="d%d" % level) as m:
                    if m.ready is not None:
                        l = preads(os.path.join(m.root, "disk.img"), ARGS.preads, rep, 30.0)
                        add(
                            "deep",
                            "pread 4K, level %d" % level,
                            t.name,
                            "us",
                            sum(l) / len(l) / 1e3,
                        )
                        add(
                            "deep",
                            "pread 4K p50, level %d" % level,
                            t.name,
                            "us",
                            l[len(l) // 2] / 1e3,
                        )
            with open(path, "r+b") as f:
                for page in r.sample(range(512 << 8), 5 << 8):
                    f.seek(page << 12)
                    f.write(r.randbytes(4096))


def w_snaps(tools):
    key = "snaps"
    for t in tools:
        if (
            t.ref
            or not (t.can("backup_incr") and t.can("mount"))
            or t.name.startswith("tar-")
            or not PLAN.takes_part(t.name, key, 0)
        ):
            continue
        tree_ = os.path.join(BENCH_DIR, "work", "snaptree")
        rmtree(tree_)
        keep = sorted(os.listdir(DATA["src"]))[:6]
        os.makedirs(tree_)
        for k in keep:
            subprocess.run(["cp", "-a", os.path.join(DATA["src"], k), tree_], check=True)
        if not t.fresh(key):
            continue
        n = 0
        for want in ARGS.snaps:
            while n < want:
                r = t.call(
                    "backup" if n == 0 else "backup_incr", key, SRC=tree_, NAME="s%d" % n, SEQ=n
                )
                n += 1
                gen.churn(tree_, 100 + n)
            for rep in range(ARGS.reps):
                for fresh in (True, False):
                    with Mount(t, key, fresh=fresh, NAME="s%d" % (n - 1), MOUNT_ALL=1) as m:
                        if m.ready is not None:
                            add(
                                "snaps",
                                "first ls, %d snapshots%s"
                                % (want, ", fresh client" if fresh else ""),
                                t.name,
                                "s",
                                m.ready,
                            )
                            x = timed("ls -l %s >/dev/null" % q(m.root))
                            x and not fresh and add(
                                "snaps", "ls -l again, %d" % want, t.name, "s", x
                            )
                            add("snaps", "rss, %d snapshots" % want, t.name, "MiB", m.peak() / 1024)
            log("snaps %s %d done" % (t.name, want))
        rmtree(os.path.dirname(t.dirs(key)["REPO"]))


def w_find(tools):
    key, files, snapshots = "find", 100_000, 100
    for t in tools:
        if (
            t.ref
            or not (t.can("backup_incr") and t.can("search"))
            or not PLAN.takes_part(t.name, key, 0)
            or not t.fresh(key)
        ):
            continue
        tree_, r = os.path.join(BENCH_DIR, "work", "findtree"), random.Random("find")
        rmtree(tree_)
        name = lambda n: os.path.join(
            "d%02d" % (n // 100 % 100),
            "e%d" % (n // 10_000),
            "file-%05d.%s" % (n, ("c", "h", "txt", "rst")[n % 4]),
        )
        paths = [os.path.join(tree_, name(n)) for n in range(files)]
        for folder in dict.fromkeys(os.path.dirname(p) for p in paths):
            os.makedirs(folder)
        for n in range(snapshots):
            for p in paths if n == 0 else r.sample(paths, files // 100):
                with open(p, "wb") as f:
                    f.write(r.randbytes(r.randrange(200)))
            if t.call(
                "backup_incr" if n else "backup",
                key,
                SRC=tree_,
                NAME="s%d" % n,
                SEQ=n,
                limit=ARGS.limit,
            ).rc:
                return
        for rep in range(ARGS.reps):
            # one file; one in a thousand; all of a kind
            for what, pattern in (
                ("one name", "file-12345.*"),
                ("a name in a thousand", "file-??123*"),
                ("a quarter of the names", "*.txt"),
            ):
                evict(t.dirs(key)["REPO"])
                x = t.call("search", key, PATTERN=pattern, limit=ARGS.limit)
                if x.rc == 0:
                    add(key, what, t.name, "s", x.wall)
                    add(key, what + ": rss", t.name, "MiB", x.rss / 1024)
        log("find %s done" % t.name)
        rmtree(tree_)
        rmtree(os.path.dirname(t.dirs(key)["REPO"]))


def opened_and_read(t, key, what, snapshot):
    """How long a mount takes to its first ls, a find and a read of every file, for a client that
    knows nothing of the store."""
    for rep in range(ARGS.reps):
        with Mount(t, key, fresh=True, NAME="s%d" % snapshot) as m:
            if m.ready is None:
                return
            for metric, seconds in (
                ("first ls", m.ready),
                ("find", timed("find %s -size +1G" % q(m.root))),
                ("cat", timed("find %s -type f -print0 | xargs -0 cat >/dev/null" % q(m.root))),
            ):
                seconds and add("prune", "%s, %s" % (metric, what), t.name, "s", seconds)


def w_prune(tools):
    snapshots, kept = 1000, 3
    for t in tools:
        if not t.can("prune") or not PLAN.takes_part(t.name, "prune", 0):
            continue
        for files in (100, 10_000):
            key, tree_ = "prune %d" % files, os.path.join(BENCH_DIR, "work", "prunetree")
            rmtree(tree_)
            if not t.fresh(key):
                return
            for n in range(files):
                path = os.path.join(tree_, "d%d" % (n // 100), "file-%d" % n)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as f:
                    f.write("%d\n" % n)
            for n in range(snapshots):
                with open(os.path.join(tree_, "d0", "file-%d" % (n % 100)), "a") as f:
                    f.write("again in %d\n" % n)
                if t.call(
                    "backup_incr" if n else "backup",
                    key,
                    SRC=tree_,
                    NAME="s%d" % n,
                    SEQ=n,
                    limit=ARGS.limit,
                ).rc:
                    return
                if n in (0, snapshots - 1):
                    opened_and_read(t, key, "%d files, snapshot %d" % (files, n + 1), n)
            # each repetition has a copy, as there is nothing left to remove after the first
            repo = t.dirs(key)["REPO"]
            os.rename(repo, repo + ".all")
            for rep in range(ARGS.reps):
                rmtree(repo)
                subprocess.run(["cp", "-a", repo + ".all", repo], check=True)
                evict(repo)
                x = t.call("prune", key, KEEP=kept, limit=ARGS.limit)
                if x.rc == 0:
                    add("prune", "%d files" % files, t.name, "s", x.wall)
                    add("prune", "%d files: rss" % files, t.name, "MiB", x.rss / 1024)
            opened_and_read(t, key, "%d files, pruned" % files, snapshots - 1)
            log("prune %s %d files done" % (t.name, files))
            rmtree(tree_)
            rmtree(os.path.dirname(repo))


def w_limits(tools):
    b, scratch = DATA["big"], os.path.join(BENCH_DIR, "work", "scratch")
    os.makedirs(scratch, exist_ok=True)
    mib = os.path.getsize(b + "/log.txt") / 2**20
    pin = "taskset -c 0 " if shutil.which("taskset") else ""
    cmds = [
        ("cat log.txt from page cache", "cat {b}/log.txt >/dev/null", 1),
        ("dd write+fsync", "dd if={b}/random.bin of={s}/x bs=1M conv=fsync status=none", 1),
        (
            "openssl enc aes-256-cfb",
            pin
            + "openssl enc -aes-256-cfb -K "
            + "00" * 32
            + " -iv "
            + "00" * 16
            + " -in {b}/log.txt -out /dev/null",
            1,
        ),
        (
            "openssl dec aes-256-cfb",
            pin
            + "openssl enc -d -aes-256-cfb -K "
            + "00" * 32
            + " -iv "
            + "00" * 16
            + " -in {b}/log.txt -out /dev/null",
            1,
        ),
        (
            "openssl enc aes-256-ctr",
            pin
            + "openssl enc -aes-256-ctr -K "
            + "00" * 32
            + " -iv "
            + "00" * 16
            + " -in {b}/log.txt -out /dev/null",
            1,
        ),
        ("sha256sum", pin + "openssl dgst -sha256 {b}/log.txt", 1),
        ("zstd -3 one thread", pin + "zstd -3 --single-thread -q -f {b}/log.txt -o {s}/l.zst", 1),
        ("zstd -d", pin + "zstd -dc -q {s}/l.zst >/dev/null", 1),
        ("zstd -1 one thread", pin + "zstd -1 --single-thread -q -c {b}/log.txt >/dev/null", 1),
        ("gzip -6", pin + "gzip -6 -c {b}/log.txt >{s}/l.gz", 1),
        ("gzip -d", pin + "gzip -dc {s}/l.gz >/dev/null", 1),
        ("libdeflate-gzip -6", pin + "libdeflate-gzip -6 -c {b}/log.txt >/dev/null", 1),
        ("libdeflate-gzip -d", pin + "libdeflate-gzip -d -c {s}/l.gz >/dev/null", 1),
        (
            "xz -6 (1/8 of the file)",
            pin + "head -c %d {b}/log.txt | xz -6 -T1 -c >/dev/null" % (mib * 2**17),
            0.125,
        ),
    ]
    for rep in range(ARGS.reps):
        for name, cmd, part in cmds:
            if not shutil.which(cmd.replace(pin, "").split()[0]):
                continue
            x = Proc(["bash", "-c", "set -eo pipefail; " + cmd.format(b=q(b), s=q(scratch))]).wait(
                ARGS.limit
            )
            if x.rc == 0:
                add("limits", name, "machine", "MiB/s", mib * part / x.wall)
                add(
                    "limits",
                    name + " (by CPU time)",
                    "machine",
                    "MiB/s",
                    mib * part / max(x.cpu, 0.001),
                )
    rmtree(scratch)


# ------------------------------------------------------------- report
HIGHER = ("MiB/s", "/s")


def fmt(v):
    if isinstance(v, str):
        return v
    return (">" if isinstance(v, Cut) else "") + (
        "%.0f" % v
        if v >= 100
        else "%.1f" % v if v >= 10 else "%.2f" % v if v >= 0.1 else "%.3f" % v
    )


def median(v):
    if isinstance(v[0], str):
        return v[0]
    return Cut(statistics.median(v)) if any(isinstance(x, Cut) for x in v) else statistics.median(v)


def report(tools):
    agg = {}
    for w, m, t, u, v in RESULTS:
        agg.setdefault((w, m, u), {}).setdefault(t, []).append(v)
    med = {k: {t: median(v) for t, v in d.items()} for k, d in agg.items()}
    cols = [t.name for t in tools]
    out = []
    for w in dict.fromkeys(k[0] for k in med):
        rows = [(k, d) for k, d in med.items() if k[0] == w]
        names = [c for c in cols if any(c in d for _, d in rows)] or sorted(
            {t for _, d in rows for t in d}
        )
        out += [
            "",
            "### " + w,
            "",
            "| metric | unit | " + " | ".join(names) + " | best peer |",
            "|" + " --- |" * (len(names) + 3),
        ]
        for (_, m, u), d in rows:
            peers = {
                t: v
                for t, v in d.items()
                if not t.startswith("ref-") and t not in ARGS.ours and not isinstance(v, str)
            }
            best = (max if u in HIGHER else min)(peers, key=peers.get) if peers else None
            cells, most = [], max(len(v) for v in agg[w, m, u].values())
            for c in names:
                if c not in d:
                    cells.append("-")
                elif isinstance(d[c], str) or not best or not peers[best]:
                    cells.append(fmt(d[c]))
                else:
                    n = len(agg[w, m, u][c])  # a cut run leaves tools with unequal samples: say so
                    cells.append(
                        "%s (%.2fx)%s"
                        % (
                            fmt(d[c]),
                            d[c] / peers[best],
                            "" if n == most else " n=%d/%d" % (n, most),
                        )
                    )
            out.append("| %s | %s | %s | %s |" % (m, u, " | ".join(cells), best or "-"))
    return "\n".join(out) + "\n", [
        dict(workload=w, metric=m, unit=u, tool=t, median=med[w, m, u][t], values=v)
        for (w, m, u), d in agg.items()
        for t, v in d.items()
    ]


def main():
    global ARGS, DATA, HAVE, SEQ, PLAN
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--scale", type=float, default=0.1)
    ap.add_argument(
        "--tools",
        help="comma-separated; default: every adapter whose tool is installed, but the slow ones",
    )
    ap.add_argument(
        "--skip",
        default="tar-xz-cbc,duplicity,archivemount",
        help="left out when --tools is not given",
    )
    ap.add_argument(
        "--ours",
        default="freezer",
        help="adapters that are not peers: compared against the best peer",
    )
    ap.add_argument(
        "--workloads",
        help="default: limits,full,mount,big,incr,restore,snaps;"
        " with --table full,mount,big,pair,restore",
    )
    ap.add_argument("--sets", help="default: src,many,big; with --table also n50k,n500k,pair")
    ap.add_argument("--reps", type=int, default=3)
    ap.add_argument("--rounds", type=int, default=3, help="churn rounds (10 for the full picture)")
    ap.add_argument("--preads", type=int, default=2000)
    ap.add_argument("--snaps", type=lambda s: [int(x) for x in s.split(",")])
    ap.add_argument("--limit", type=float, default=600, help="seconds for any one command")
    ap.add_argument(
        "--many-read", action="store_true", help="also cp -a and grep -r the 'many' mount"
    )
    ap.add_argument(
        "--drop-caches",
        action="store_true",
        help="empty the whole machine's page cache instead of the repository's own pages",
    )
    ap.add_argument(
        "--keep",
        action="store_true",
        help="keep repositories and data (default: data kept, work removed)",
    )
    ap.add_argument("--out", help="results path without suffix; default BENCH_DIR/results-<time>")
    ap.add_argument("--list", action="store_true")
    ap.add_argument(
        "--table",
        nargs="?",
        const="core",
        choices=sorted(PLANS),
        help="run what a table of targets needs (table.py) and print it; default: core",
    )
    ARGS = ap.parse_args()
    ARGS.ours = ARGS.ours.split(",")
    plan = PLANS.get(ARGS.table)
    if plan:
        ARGS.tools = ARGS.tools or ",".join(ARGS.ours + [t for t in plan.tools.split(",") if t])
    ARGS.workloads = ARGS.workloads or (
        plan.workloads if plan else "limits,full,mount,big,incr,restore,snaps"
    )
    if ARGS.sets is None:
        ARGS.sets = plan.sets if plan else ",".join(gen.SCALED)
    ARGS.snaps = ARGS.snaps or (plan.snaps if plan else (1, 10, 50))
    PLAN = Table(plan, ARGS.ours, RESULTS) if plan else Everything()
    Settings.limit, Settings.drop_caches = ARGS.limit, ARGS.drop_caches
    os.makedirs(os.path.join(BENCH_DIR, "work"), exist_ok=True)
    out = ARGS.out or os.path.join(BENCH_DIR, "results-" + time.strftime("%Y%m%d-%H%M%S"))
    Settings.log = open(out + ".log", "wb")
    names = (
        ARGS.tools.split(",")
        if ARGS.tools
        else sorted(
            f[:-3]
            for f in os.listdir(PEERS)
            if f.endswith(".sh")
            and f != "common.sh"
            and (ARGS.list or f[:-3] not in ARGS.skip.split(","))
        )
    )
    tools = [Tool(n) for n in names]
    for t in tools:
        log(
            "%-14s %s%s"
            % (
                t.name,
                t.version if t.ok else "not installed",
                "" if t.enc or not t.ok else "  [not encrypted]",
            )
        )
    tools = sorted((t for t in tools if t.ok), key=lambda t: t.name not in ARGS.ours)
    if ARGS.list:
        return
    if ARGS.table and ARGS.ours[0] not in (t.name for t in tools):
        sys.exit(
            "there is no %s to measure: cargo build --release, or name the program in FREEZER"
            % ARGS.ours[0]
        )
    sets = [s for s in ARGS.sets.split(",") if s]
    root = os.path.join(BENCH_DIR, "data-%g" % ARGS.scale)
    DATA = gen.ensure(root, ARGS.scale, sets)
    HAVE, SEQ = {}, Seq()
    work = ARGS.workloads.split(",")
    if "incr" in work:  # churn changes the tree: give it a copy
        c = os.path.join(BENCH_DIR, "work", "src-live")
        rmtree(c)
        subprocess.run(["cp", "-a", DATA["src"], c], check=True)
        DATA["src"] = c
    t0, load0 = time.time(), os.getloadavg()

    def interrupt(
        *_,
    ):  # also under nohup, where SIGINT comes ignored: stop here, report what there is
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        "limits" in work and w_limits(tools)
        "full" in work and w_full(tools, [s for s in sets if s not in ("pair", "image")])
        "mount" in work and w_mount(tools, [s for s in sets if s not in ("big", "pair", "image")])
        "big" in work and "big" in sets and w_big(tools)
        "pair" in work and "pair" in sets and w_pair(tools)
        "incr" in work and w_incr(tools, sets)
        "restore" in work and w_restore(tools, [s for s in sets if s in gen.SCALED])
        "image" in work and w_image(tools)
        "deep" in work and w_deep(tools)
        "snaps" in work and w_snaps(tools)
        "find" in work and w_find(tools)
        "prune" in work and w_prune(tools)
        "far" in work and far.w_far(
            add, DATA, os.path.join(BENCH_DIR, "work", "far"), ARGS.scale, ARGS.reps
        )
        "stores" in work and far.w_stores(
            add, os.path.join(BENCH_DIR, "work", "stores"), ARGS.scale, ARGS.reps
        )
    except KeyboardInterrupt:
        log("interrupted: reporting what there is")
    finally:
        table, rows = report(tools)
        head = (
            "Scale %g, %d repetitions, %d cores, %s, %s; "
            "load average %.1f at the start, %.1f at the end; %.0f s.\n"
            % (
                ARGS.scale,
                ARGS.reps,
                os.cpu_count(),
                platform.platform(),
                datetime.date.today(),
                load0[0],
                os.getloadavg()[0],
                time.time() - t0,
            )
        )
        head += "\n" + "".join(
            "- %s: %s%s\n" % (t.name, t.version, "" if t.enc else " [not encrypted]") for t in tools
        )
        head += (
            "\n"
            + PLAN.report()
            + "\nCells below: median (ratio to the best peer, the last column);"
            " > a command that was stopped there.\n"
        )
        with open(out + ".json", "w") as f:
            json.dump(
                dict(
                    args=vars(ARGS),
                    tools={t.name: t.version for t in tools},
                    load=load0,
                    results=rows,
                ),
                f,
                indent=1,
            )
        with open(out + ".md", "w") as f:
            f.write(head + table)
        print(head + table)
        log("written: %s.md .json .log" % out)
        if not ARGS.keep:
            for t in tools:
                rmtree(os.path.join(BENCH_DIR, "work", t.name))
            rmtree(os.path.join(BENCH_DIR, "work", "src-live"))
            rmtree(OUT_DIR)
        rmtree(TRASH)


if __name__ == "__main__":
    main()
