"""The speed targets: what is measured against what, what counts as reached, and which runs that
takes."""

import dataclasses, statistics

from measure import Cut

BACKUP_TOOLS = ("restic", "rustic", "borg")
MOUNTS = BACKUP_TOOLS + ("ratarmount",)
METADATA = MOUNTS + (
    "ref-cp",
)  # ref-cp mounts with bindfs: a passthrough is a peer where file contents are not the point
TOO_SLOW = {
    ("rustic", "many")
}  # two minutes for one backup, and no line where it was ever the best
MIN_CUT = 10.0  # seconds that a peer's command may take whatever ours took


@dataclasses.dataclass(frozen=True)
class Line:
    """`metric` of ours in `workload`, against the best of `against`, or `other` (workload, metric)
    of ours, or a plain number."""

    what: str
    workload: str
    metric: str
    target: float
    against: tuple = ()
    other: tuple = ()
    at_least: bool = False

    @property
    def absolute(self):
        return not (self.against or self.other)


def core():
    out = []
    for s, pipeline, restic in (("src", 1.3, 1 / 2), ("big", 1.3, 1 / 2), ("many", 1.6, 1 / 3)):
        w = "full " + s
        out += [
            Line("full backup, `%s`" % s, w, "wall", pipeline, ("pipeline",)),
            Line("full backup, `%s`" % s, w, "wall", restic, ("restic",)),
        ]
    for s in ("src", "big", "many"):
        w = "full " + s
        out += [
            Line("stored bytes, `%s`" % s, w, "stored", 1.08, ("pipeline",)),
            Line("stored bytes, `%s`" % s, w, "stored", 1, BACKUP_TOOLS),
        ]
    for s, n in (("n500k", "500,000"), ("n50k", "50,000")):
        what, w = "mount to first `ls`, fresh client, %s files" % n, "mount " + s
        out += [
            Line(what + " (s)", w, "first ls, fresh client", 0.060),
            Line(what, w, "first ls, fresh client", 0.1, ("restic",)),
        ]
    out.append(Line("`find -size`, first time, `many`", "mount many", "find -size", 0.4, METADATA))
    for s in ("src", "many"):
        out += [
            Line("`find -size` again, `%s`" % s, "mount " + s, "find -size again", 0.15, METADATA),
            Line(
                "`find -size` again, `%s`: FUSE requests" % s,
                "mount " + s,
                "find -size again, requests",
                0,
            ),
            Line("`ls -lR`, `%s`" % s, "mount " + s, "ls -lR", 0.15, METADATA),
            Line(
                "`ls -lR` again, `%s`: FUSE requests" % s, "mount " + s, "ls -lR again, requests", 0
            ),
        ]
    out += [
        Line(
            "`cp -a` of `src` to tmpfs: FUSE requests a file",
            "mount src",
            "cp -a, requests a file",
            2,
        ),
        Line("`cp -a` of `src` to tmpfs", "mount src", "cp -a", 0.2, METADATA),
        Line(
            "`cp -a` of `src`, against our `restore`",
            "mount src",
            "cp -a",
            2,
            other=("restore src", "wall"),
        ),
        Line("`grep -r`, fresh mount of `src`", "mount src", "grep -r, fresh mount", 0.5, MOUNTS),
        Line("`cat` of text (MiB/s)", "mount big", "cat log.txt", 2, MOUNTS, at_least=True),
        Line(
            "`cat` of random bytes (MiB/s)",
            "mount big",
            "cat random.bin",
            0.6,
            ("ref-cp",),
            at_least=True,
        ),
    ]
    for f, what in (("log.txt", "text"), ("db.sqlite", "database")):
        for p in ("p50", "p99"):
            out.append(
                Line(
                    "4 KiB random reads, %s, %s (µs)" % (what, p),
                    "mount big",
                    "pread 4K %s %s" % (f, p),
                    0.5,
                    MOUNTS,
                )
            )
    for codec, target in (("zstd", 1.5), ("zlib", 1.8), ("xz", 1.8)):
        out.append(
            Line(
                "two readers against one, %s (MiB/s)" % codec,
                "pair",
                codec + ", two readers",
                target,
                other=("pair", codec + ", one reader"),
                at_least=True,
            )
        )
    out += [
        Line("`restore` to tmpfs, `src`", "restore src", "wall", 1.5, ("pipeline",)),
        Line("`restore` to tmpfs, `many`", "restore many", "wall", 1.5, ("pipeline",)),
        Line("`restore` to tmpfs, `big`", "restore big", "wall", 0.8, BACKUP_TOOLS),
    ]
    for what, w, m in (
        ("backup", "full", "rss"),
        ("mount after `find`", "mount", "rss after find"),
    ):
        out += [
            Line("peak memory, %s, 500,000 files (MiB)" % what, w + " n500k", m, 200),
            Line(
                "peak memory, %s, against 50,000 files" % what,
                w + " n500k",
                m,
                1.2,
                other=(w + " n50k", m),
            ),
        ]
    return out


def levels():
    none, churn, limit = "incr-none n500k", "incr-churn src", 64 * 1024 / 1e6
    what = "level of 500,000 files, nothing changed"
    out = [
        Line(what, none, "wall", 1.3, ("tar-incr",)),
        Line(what, none, "wall", 1 / 5, ("restic",)),
        Line(what + ": added (MB)", none, "added", limit),
        Line(what + ": peak memory (MiB)", none, "rss", 200),
    ]
    what = "level of `src`, 1 % changed"
    out += [
        Line(what, churn, "wall", 1.5, ("tar-incr",)),
        Line(what + ": added bytes", churn, "added", 1.1, ("tar-incr",)),
        Line(what + ": added bytes", churn, "added", 1, BACKUP_TOOLS),
    ]
    out.append(
        Line(
            "mount to first `ls`, level 100 against level 0",
            "snaps",
            "first ls, 100 snapshots, fresh client",
            1.5,
            other=("snaps", "first ls, 1 snapshots, fresh client"),
        )
    )
    what = "`find` over 100 points in time of 100,000 files, 1 % changed in each"
    out += [
        Line(what, "find", "one name", 2),
        Line(what + ": a quarter of all names", "find", "a quarter of the names", 10),
        Line(what + ": peak memory (MiB)", "find", "one name: rss", 200),
    ]
    what = "`prune` of 997 of 1,000 points in time"
    out += [
        Line(what + " of 10,000 files (s)", "prune", "10000 files", 5),
        Line(
            what + ", 10,000 files against 100",
            "prune",
            "10000 files",
            2,
            other=("prune", "100 files"),
        ),
    ]
    for metric, what in (
        ("first ls", "mount to first `ls`"),
        ("find", "`find -size`"),
        ("cat", "`cat` of each file"),
    ):
        for state, of in (
            ("snapshot 1000", "level 1,000"),
            ("pruned", "level 1,000 after a prune to 3"),
        ):
            out.append(
                Line(
                    "%s, 10,000 files, %s against the first" % (what, of),
                    "prune",
                    "%s, 10000 files, %s" % (metric, state),
                    1.5,
                    other=("prune", "%s, 10000 files, snapshot 1" % metric),
                )
            )
    return out


def blocks():
    w, what = "image", "image of 4 GiB, 1 % changed, engine rsync"
    return [
        Line(
            what + ": data per second of a core (MB/s)",
            w,
            "data per second of a core",
            400,
            at_least=True,
        ),
        Line(what + ": added, of what changed", w, "added, of what changed", 1.1),
        Line(what + ": peak memory (MiB)", w, "rss", 200),
        Line(what, w, "wall", 1, ("restic",)),
        Line(what + ": added bytes", w, "added", 1, ("restic", "borg")),
        Line(
            "random 4 KiB reads, level 30 against level 0",
            "deep",
            "pread 4K, level 30",
            1.25,
            other=("deep", "pread 4K, level 0"),
        ),
    ]


def far():
    return [
        Line(
            "first `ls` of the root, 500,000 files: requests",
            "far",
            "first ls of 500,000 files: requests",
            9,
        ),
        Line("`cat` of a large file (MiB/s)", "far", "cat", 0.8, ("curl",), at_least=True),
        Line("`cat` of a large file (MiB/s)", "far", "cat", 0.8, ("swift",), at_least=True),
    ]


def stores():
    return [
        Line(
            "%s, 64 MiB objects, %s (MiB/s)" % (kind, metric),
            "stores " + kind,
            metric,
            1,
            tools,
            at_least=True,
        )
        for kind, tools in (
            ("swift", ("swift",)),
            ("s3", ("aws", "rclone")),
            ("sftp", ("scp", "sftp")),
        )
        for metric in ("put", "get")
    ]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A table: its lines, and what has to be run for them."""

    lines: tuple
    sets: str
    workloads: str
    tools: str
    snaps: tuple = (1, 10, 50)


PLANS = {
    "core": Plan(
        tuple(core()),
        "src,many,big,n50k,n500k,pair",
        "full,mount,big,pair,restore",
        "pipeline,restic,ratarmount,borg,ref-cp,rustic",
    ),
    "levels": Plan(
        tuple(levels()),
        "src,n500k",
        "full,incr,snaps,find,prune",
        "tar-incr,restic,borg,rustic",
        (1, 100),
    ),
    "far": Plan(tuple(far()), "n500k", "far", ""),
    "stores": Plan(tuple(stores()), "", "stores", ""),
    "blocks": Plan(tuple(blocks()), "image", "image,deep", "restic,borg"),
}


class Everything:
    """Runs each tool in each repetition, to the end."""

    def takes_part(self, tool, workload, rep):
        return True

    def limit(self, workload, metric, tool):
        return None

    def report(self):
        return ""


class Table:
    """Runs what the lines need: every peer of a line in the first repetition, then the one that
    counts; and stops a peer's command when it has taken twice the time at which our target is
    reached: the ratio reported is then an upper bound.
    """

    def __init__(self, plan, ours, results):
        self.lines, self.ours, self.results = plan.lines, ours, results

    def of(self, workload):
        return [x for x in self.lines if x.workload == workload]

    def takes_part(self, tool, workload, rep):
        if tool in self.ours:
            return True
        kind, _, which = workload.partition(" ")
        if (tool, which) in TOO_SLOW:
            return False
        if kind == "snaps":
            return False
        if rep == 0:
            some = (
                [x for x in self.lines if x.workload.endswith(" " + which)]
                if kind == "full"
                else self.of(workload)
            )
            return any(tool in x.against for x in some)
        return any(
            tool == x.against[0] if len(x.against) == 1 else tool == self.best(x)
            for x in self.of(workload)
            if x.against
        )

    def best(self, line):
        v = {t: self.value(line.workload, line.metric, t) for t in line.against}
        v = {t: x for t, x in v.items() if x is not None}
        if not v:
            return None
        return (max if line.at_least else min)(v, key=lambda t: (v[t], isinstance(v[t], Cut)))

    def value(self, workload, metric, tool):
        v = [
            x
            for w, m, t, _, x in self.results
            if (w, m, t) == (workload, metric, tool) and not isinstance(x, str)
        ]
        if not v:
            return None
        m = statistics.median(v)
        return Cut(m) if any(isinstance(x, Cut) for x in v) else m

    def samples(self, workload, metric, tool):
        return sum((w, m, t) == (workload, metric, tool) for w, m, t, _, _ in self.results)

    def limit(self, workload, metric, tool):
        ours = self.value(workload, metric, self.ours[0])
        targets = [x.target for x in self.of(workload) if x.metric == metric and x.against]
        if tool in self.ours or ours is None or not targets:
            return None
        return max(MIN_CUT, 2 * ours / min(targets))

    def report(self):
        out = ["| what | ours | against | there | ratio | target | |", "|" + " --- |" * 7]
        reached = missed = 0
        for x in self.lines:
            ours = self.value(x.workload, x.metric, self.ours[0])
            name, there = "-", None
            if x.against:
                name = self.best(x) or "-"
                there = self.value(x.workload, x.metric, name)
            elif x.other:
                name, there = "ours: %s" % (
                    x.other[1] if x.other[0] == x.workload else "%s, %s" % x.other
                ), self.value(*x.other, self.ours[0])
            got = None if ours is None else ours if x.absolute else ours / there if there else None
            ok = got is not None and (got >= x.target if x.at_least else got <= x.target)
            # a peer that was stopped makes the ratio an upper bound: reached stays reached, missed
            # is not known
            word = (
                "not measured"
                if got is None
                else "reached" if ok else "not known" if isinstance(there, Cut) else "missed"
            )
            reached, missed = reached + (word == "reached"), missed + (word != "reached")
            out.append(
                "| %s | %s | %s | %s | %s | %s %s%s | %s |"
                % (
                    x.what,
                    number(ours),
                    name,
                    number(there),
                    (
                        ""
                        if x.absolute
                        else ("< " if isinstance(there, Cut) and got else "") + number(got)
                    ),
                    "≥" if x.at_least else "≤",
                    "%g" % round(x.target, 3),
                    "" if x.absolute else " ×",
                    word,
                )
            )
        return "%d of %d reached.\n\n%s\n" % (reached, reached + missed, "\n".join(out))


def number(v):
    if v is None:
        return "-"
    return ("> " if isinstance(v, Cut) else "") + (
        "%.0f" % v
        if v >= 100 or v == int(v)
        else "%.1f" % v if v >= 10 else "%.2f" % v if v >= 0.1 else "%.3f" % v
    )
