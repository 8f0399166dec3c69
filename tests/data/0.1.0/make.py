#!/usr/bin/env python3
"""Writes the stores of this folder, and beside each what a reader has to find in it.

    make.py FREEZER FOLDER

FREEZER is the program of the version that the folder is named after. FOLDER must be empty. Needs
root (owners, devices), GNU tar and zstd, and a file system with extended attributes, ACLs and
sparse files below TMPDIR. See README.md.

What a reader has to find is taken from the source trees with lstat(2) and the like, never from
what the program says of its own store. Only the ids and numbers of points in time come from
`freezer list`.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FREEZER = os.path.abspath(sys.argv[1])
FOLDER = os.path.abspath(sys.argv[2])
# 2026-01-15 12:00:00 UTC: times of files do not depend on the day on which this runs.
NOW = 1_768_478_400
PASSPHRASES = ["a test passphrase, not a secret", "another test passphrase"]
WORDS = "backup level chain frame segment extent index manifest store client action job".split()


def text(seed, size):
    """Text that compresses very well: few different lines in an order of their own."""
    chance, lines, length = random.Random(seed), [], 0
    while length < size:
        word = chance.choice(WORDS)
        line = f"{word} {word.upper()} {' '.join(WORDS)}\n"
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()[:size]


def noise(seed, size):
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


# -- trees ---------------------------------------------------------------------------------------


class Tree:
    """A source tree. Its changes leave times that are known."""

    def __init__(self, path):
        self.path = os.fsencode(path)
        self.clock = NOW
        os.mkdir(self.path)

    def at(self, name):
        return os.path.join(self.path, os.fsencode(name)) if name else self.path

    def file(self, name, content, mode=0o644, mtime_ns=None):
        with open(self.at(name), "wb") as file:
            file.write(content)
        os.chmod(self.at(name), mode)
        self.touch(name, mtime_ns)

    def write(self, name, at, content):
        with open(self.at(name), "r+b") as file:
            file.seek(at)
            file.write(content)
        self.touch(name)

    def sparse(self, name, size, pieces):
        with open(self.at(name), "wb") as file:
            file.truncate(size)
            for at, content in pieces:
                file.seek(at)
                file.write(content)
        self.touch(name)

    def touch(self, name, mtime_ns=None):
        self.clock += 61
        when = self.clock * 10**9 + self.clock % 997 if mtime_ns is None else mtime_ns
        os.utime(self.at(name), ns=(when, when), follow_symlinks=False)

    def directory(self, name, mode=0o755):
        os.mkdir(self.at(name))
        os.chmod(self.at(name), mode)

    def symlink(self, name, target):
        os.symlink(os.fsencode(target), self.at(name))
        self.touch(name)

    def rename(self, old, new):
        os.rename(self.at(old), self.at(new))

    def remove(self, name):
        path = self.at(name)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def settle(self):
        """Gives directories times that are known, and lets the file system's clock go on: what
        changed just before a run is stored again by the next one."""
        for folder, _, _ in os.walk(self.path):
            names = sorted(os.listdir(folder))
            seed = hashlib.sha256(b"\0".join([folder[len(self.path):]] + names)).digest()
            when = (NOW + int.from_bytes(seed[:3], "big")) * 10**9
            if os.lstat(folder).st_mtime_ns != when:
                os.utime(folder, ns=(when, when))
        time.sleep(1.2)

    def expected(self):
        """What a reader has to find: one entry for each path, in order of bytes."""
        paths = [b""]
        for folder, folders, files in os.walk(self.path):
            paths += [os.path.join(folder, name)[len(self.path) + 1:] for name in folders + files]
        first_names, entries = {}, []
        for path in sorted(paths):
            full = os.path.join(self.path, path) if path else self.path
            entries.append(entry(full, path, first_names))
        return entries


def escaped(text):
    """Printable ASCII as it is, but for %; other bytes as %XX."""
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x25 else f"%{b:02X}" for b in text)


def entry(full, path, first_names):
    found = os.lstat(full)
    kinds = {
        stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
        stat.S_IFIFO: "fifo", stat.S_IFCHR: "char device", stat.S_IFBLK: "block device",
    }
    kind = kinds[stat.S_IFMT(found.st_mode)]
    entry = {
        "path": escaped(path),
        "kind": kind,
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mtime": f"{found.st_mtime_ns // 10**9}.{found.st_mtime_ns % 10**9:09}",
    }
    if kind != "directory":
        entry["links"] = found.st_nlink
    if found.st_nlink > 1 and kind != "directory":
        entry["first_name"] = escaped(first_names.setdefault(found.st_ino, path))
    if kind == "file":
        with open(full, "rb") as file:
            content = file.read()
            entry["runs"] = runs(file.fileno(), len(content))
        entry["size"] = len(content)
        entry["sha256"] = hashlib.sha256(content).hexdigest()
    if kind == "symlink":
        entry["target"] = escaped(os.readlink(full))
    if kind.endswith("device"):
        entry["device"] = [os.major(found.st_rdev), os.minor(found.st_rdev)]
    names = os.listxattr(full, follow_symlinks=False)
    if names:
        entry["xattrs"] = {
            escaped(os.fsencode(name)): escaped(os.getxattr(full, name, follow_symlinks=False))
            for name in sorted(names)
        }
    return entry


def runs(file, size):
    """Where a file has data: offsets and lengths."""
    found, at = [], 0
    while at < size:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(file, start, os.SEEK_HOLE)
        found.append([start, at - start])
    return found


# -- stores --------------------------------------------------------------------------------------


class Store:
    """A store under way, and what a reader has to find in it."""

    def __init__(self, room, name, about, encrypted=False):
        self.room, self.name, self.about = Path(room), name, about
        self.path = self.room / f"{name}.store"
        self.options = []
        self.passphrases = PASSPHRASES[:1] if encrypted else []
        for number, passphrase in enumerate(PASSPHRASES):
            (self.room / f"passphrase.{number}").write_text(passphrase + "\n")
        if encrypted:
            self.options = ["--encrypt-pass-file", str(self.room / "passphrase.0")]
        self.trees, self.points, self.lost = {}, [], {}

    def command(self, *arguments):
        return [FREEZER, *arguments, "--store", str(self.path), *self.options]

    def run(self, *arguments, code=0):
        print(f"  {self.name}: freezer {' '.join(arguments)}", flush=True)
        done = subprocess.run(
            self.command(*arguments), cwd=self.room, env=ENVIRONMENT, capture_output=True
        )
        if done.returncode != code:
            sys.exit(f"exit code {done.returncode}: {done.stdout!r} {done.stderr!r}")
        return done.stdout.decode()

    def list(self, backup):
        return json.loads(self.run("list", backup, "--json"))

    def back_up(self, tree, state, backup, *options):
        """Makes a point in time, which has to be `tree` as it is now."""
        tree.settle()
        if state not in self.trees:
            self.trees[state] = tree.expected()
        host, name = backup.split("/")
        self.run("backup", os.fsdecode(tree.path), "-N", name, "--hostname", host, *options)
        level = self.list(backup)[-1]
        keep = ["level_id", "level", "parent", "engine", "compression", "cipher"]
        self.points.append({"backup": backup, **{key: level[key] for key in keep}, "tree": state})

    def refresh(self):
        """Leaves out the points in time that were removed."""
        there = set()
        for backup in {point["backup"] for point in self.points}:
            there |= {(backup, level["level_id"]) for level in self.list(backup)}
        self.points = [p for p in self.points if (p["backup"], p["level_id"]) in there]

    def finish(self, check=0):
        """Packs the store, and writes what has to be found."""
        events = [json.loads(line) for line in
                  self.run("check", "--read-data", "--json", code=check).splitlines()]
        result = [event for event in events if event.get("event") == "result"][0]
        damage = [event for event in events if event.get("event") == "damage"]
        remarks = [event for event in events if event.get("event") == "remark"]
        expected = {
            "about": self.about,
            "passphrases": self.passphrases,
            "check": {
                "exit_code": check,
                **{key: result[key] for key in
                   ["points_in_time", "entries", "damages", "files_touched"]},
                "files": sorted({event["file"] for event in damage if event.get("file")}),
                "remarks": sorted({event["remark"] for event in remarks}),
            },
            "lost": self.lost,
            "points": self.points,
        }
        lines = [f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in expected.items()
                 if key != "points"]
        points = ",\n".join("  " + json.dumps(point) for point in self.points)
        lines += [' "points": [\n', points, "\n ],\n"]
        trees = []
        used = {point["tree"] for point in self.points}
        for state in sorted(used):
            entries = ",\n".join("   " + json.dumps(entry) for entry in self.trees[state])
            trees.append(f"  {json.dumps(state)}: [\n{entries}\n  ]")
        lines += [' "trees": {\n', ",\n".join(trees), "\n }\n"]
        Path(FOLDER, f"{self.name}.json").write_text("{\n" + "".join(lines) + "}\n")
        tar = ["tar", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--sort=name",
               "--owner=0", "--group=0", "--numeric-owner", "-C", str(self.path), "-cf", "-", "."]
        packed = subprocess.run(tar, check=True, capture_output=True).stdout
        with open(Path(FOLDER, f"{self.name}.tar.zst"), "wb") as file:
            zstd = ["zstd", "-19", "--long=27", "-q"]
            subprocess.run(zstd, input=packed, stdout=file, check=True)


ENVIRONMENT = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


# -- what is stored ------------------------------------------------------------------------------


def acl(user, named_group):
    """An ACL with one more user and one more group, as the kernel takes it (acl(5))."""
    nobody = 0xFFFF_FFFF
    entries = [(0x01, 6, nobody), (0x02, user, 1234), (0x04, 4, nobody), (0x08, named_group, 4321),
               (0x10, 7, nobody), (0x20, 4, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def first_state(tree):
    """All kinds of entries, names and metadata, but those that only root can restore."""
    tree.file("a.txt", b"hello\n")
    tree.file("empty", b"")
    tree.file("large.txt", text(1, 1_500_000))
    tree.file("noise", noise(2, 3000))
    tree.file("with space and ünicode", "grüße\n".encode())
    tree.file(b"latin-1 caf\xe9", b"not UTF-8\n")
    tree.file("new\nline", b"in a name\n")
    tree.file("100%", b"percent\n")
    tree.file(".hidden", b"dot\n")
    tree.file("x" * 255, b"longest name\n")
    deep = "deep"
    tree.directory(deep)
    for step in range(5):
        deep += "/" + chr(ord("a") + step) * 70
        tree.directory(deep)
    tree.file(deep + "/bottom", b"at the end of a long path\n")
    tree.directory("notes")
    for number in range(12):
        tree.file(f"notes/{number:02}.txt", text(100 + number, 400 + 37 * number))
    tree.directory("notes/old")
    tree.file("notes/old/then.txt", text(3, 5000))
    tree.symlink("link", "a.txt")
    tree.symlink("dangling", "nowhere/at all")
    tree.symlink("long link", "target/" * 30)
    os.mkfifo(tree.at("pipe"))
    tree.touch("pipe")
    tree.directory("links")
    tree.file("links/one", text(4, 700))
    os.link(tree.at("links/one"), tree.at("links/two"))
    os.link(tree.at("links/one"), tree.at("another name"))
    tree.sparse("sparse", 1 << 20, [(0, text(5, 4096)), (512 << 10, text(6, 8192))])
    tree.sparse("all hole", 300_000, [])
    tree.sparse("hole at end", 200_000, [(65536, text(7, 4096))])
    tree.file("modes setuid", b"s\n", mode=0o4755)
    tree.file("modes none", b"-\n", mode=0)
    tree.directory("modes shared", mode=0o2775)
    tree.directory("modes sticky", mode=0o1777)
    tree.file("time before 1970", b"t\n", mtime_ns=-1_500_000_000)
    tree.file("time after 2106", b"t\n", mtime_ns=5_000_000_000 * 10**9 + 999_999_999)
    tree.file("time in whole seconds", b"t\n", mtime_ns=NOW * 10**9)
    tree.file("owner", b"o\n")
    os.chown(tree.at("owner"), 1000, 1001)
    tree.file("owner large", b"o\n")
    os.chown(tree.at("owner large"), 3_000_000_000, 2_999_999_999)
    tree.file("xattrs", b"x\n")
    os.setxattr(tree.at("xattrs"), "user.comment", b"a comment")
    os.setxattr(tree.at("xattrs"), "user.binary", bytes(range(256)))
    os.setxattr(tree.at("xattrs"), "user.empty", b"")
    tree.file("acl", b"acl\n")
    os.setxattr(tree.at("acl"), "system.posix_acl_access", acl(user=4, named_group=6))
    tree.directory("acl default")
    os.setxattr(tree.at("acl default"), "system.posix_acl_default", acl(user=5, named_group=5))
    tree.directory("goes")
    tree.file("goes/away", b"soon\n")
    tree.directory("swap")
    tree.file("swap/1", text(8, 900))
    tree.file("swap/2", text(9, 900))
    tree.file("becomes link", b"a file\n")
    tree.symlink("becomes directory", "a.txt")
    tree.directory("becomes file")
    tree.file("becomes file/inside", b"inside\n")


def second_state(tree):
    """Content: more of it, other, none."""
    tree.file("a.txt", b"hello\nagain\n")
    tree.file("new", text(20, 2000))
    tree.write("large.txt", 700_000, b"in the middle")
    tree.remove("notes/03.txt")
    tree.file("notes/04.txt", b"")


def third_state(tree):
    """Names."""
    tree.rename("notes/old", "notes/older")
    tree.rename("noise", "links/noise moved")
    tree.rename("deep", "deeper")
    tree.rename("swap/1", "swap/3")
    tree.rename("swap/2", "swap/1")
    tree.rename("swap/3", "swap/2")
    os.link(tree.at("links/two"), tree.at("links/three"))


def fourth_state(tree):
    """Kinds."""
    tree.remove("becomes link")
    tree.symlink("becomes link", "a.txt")
    tree.remove("becomes directory")
    tree.directory("becomes directory")
    tree.file("becomes directory/inside", b"now\n")
    tree.remove("becomes file")
    tree.file("becomes file", b"now\n")
    tree.remove("goes")


def fifth_state(tree):
    """Metadata alone."""
    os.chmod(tree.at("notes/05.txt"), 0o600)
    os.chown(tree.at("notes/06.txt"), 7, 8)
    tree.touch("notes/07.txt")
    os.setxattr(tree.at("xattrs"), "user.comment", b"another comment")
    os.removexattr(tree.at("xattrs"), "user.empty")
    os.unlink(tree.at("links/one"))
    tree.directory("goes")
    tree.file("goes/back", b"again\n")


def sixth_state(tree):
    """Holes."""
    tree.write("sparse", 256 << 10, text(30, 4096))
    tree.remove("all hole")
    tree.sparse("all hole", 400_000, [(200_704, b"x" * 4096)])


STATES = [first_state, second_state, third_state, fourth_state, fifth_state, sixth_state]


def chain(room, store, backup, options=()):
    """A full level, a level for each state, and one in which nothing changed."""
    tree = Tree(room / f"{store.name}.tree")
    for number, state in enumerate(STATES):
        state(tree)
        store.back_up(tree, f"state {number}", backup, *options)
    store.back_up(tree, f"state {len(STATES) - 1}", backup, *options)
    return tree


def plain(room):
    store = Store(room, "plain", "a chain of seven levels, and more backups of several hosts")
    chain(room, store, "alpha/docs", ["--tag", "nightly"])
    rooted = Tree(room / "rooted.tree")
    os.mknod(rooted.at("char"), stat.S_IFCHR | 0o620, os.makedev(5, 300))
    os.mknod(rooted.at("block"), stat.S_IFBLK | 0o660, os.makedev(4095, 70_000))
    rooted.touch("char")
    rooted.touch("block")
    rooted.file("capable", b"#!/bin/true\n", mode=0o755)
    # cap_net_raw (number 13), permitted and effective, as VFS_CAP_REVISION_2 has it.
    os.setxattr(rooted.at("capable"), "security.capability",
                struct.pack("<5I", 0x0200_0001, 1 << 13, 0, 0, 0))
    rooted.touch("capable")
    os.setxattr(rooted.at("capable"), "trusted.note", b"for root")
    store.back_up(rooted, "rooted", "beta.example/rooted")
    many = Tree(room / "many.tree")
    for number in range(900):
        many.file(f"{number:04} {'n' * 60}", b"")
    store.back_up(many, "many 0", "alpha/many")
    for number in range(0, 900, 90):
        many.file(f"{number:04} {'n' * 60}", b"%d\n" % number)
    store.back_up(many, "many 1", "alpha/many")
    odd = Tree(room / "odd.tree")
    odd.file("f", b"odd\n")
    store.back_up(odd, "odd", "höst 50%/.näme with: signs.")
    restarted = Tree(room / "restarted.tree")
    for number in range(5):
        restarted.file("f", text(40, 300 + number))
        store.back_up(restarted, f"restarted {number}", "alpha/restarted", "--max-level", "1")
    store.finish()


def encrypted(room):
    store = Store(room, "encrypted", "a chain of seven levels in a store that two passphrases open",
                  encrypted=True)
    chain(room, store, "alpha/docs")
    store.run("key", "add", "--new-pass-file", str(room / "passphrase.1"))
    store.passphrases = PASSPHRASES
    store.finish()


def codecs(room):
    for compression, levels in [("none", []), ("gzip", []), ("bzip2", []), ("xz", []),
                                ("zstd", ["--compression-level", "19"])]:
        store = Store(room, f"codec-{compression}", f"two levels, compressed with {compression}")
        tree = Tree(room / f"{store.name}.tree")
        tree.file("text", text(50, 800_000))
        tree.file("noise", noise(51, 5000))
        tree.file("zeros", bytes(100_000))
        tree.file("empty", b"")
        options = ["--compression", compression, *levels]
        store.back_up(tree, "state 0", "alpha/docs", *options)
        tree.file("text", text(52, 10_000))
        tree.file("more", text(53, 3000))
        store.back_up(tree, "state 1", "alpha/docs", *options)
        store.finish()
    # Levels of one chain that are compressed in different ways.
    store = Store(room, "codec-mixed", "a chain of five levels, each compressed in another way")
    tree = Tree(room / "codec-mixed.tree")
    for number, compression in enumerate(["none", "gzip", "bzip2", "xz", "zstd"]):
        tree.file(compression, text(60 + number, 2000))
        store.back_up(tree, f"state {number}", "alpha/docs", "--compression", compression)
    store.finish()


def blocks(room):
    """Large files of which the blocks that are new are stored."""
    for encrypted in [False, True]:
        name = "blocks-encrypted" if encrypted else "blocks"
        store = Store(room, name, "a chain of four levels by the engine rsync", encrypted=encrypted)
        options = ["--engine", "rsync", "--block-threshold", "64KiB", "--block-size", "4KiB"]
        tree = Tree(room / f"{name}.tree")
        disk = bytearray(text(70, 400_000))
        tree.file("disk", bytes(disk))
        tree.file("small", b"below the threshold\n")
        tree.sparse("holes", 1 << 20, [(65536, text(71, 131_072)), (786_432, text(72, 65_536))])
        store.back_up(tree, "state 0", "alpha/vm", *options)
        disk[100_000:100_010] = b"0123456789"
        tree.file("disk", bytes(disk))
        tree.write("holes", 786_432, b"other")
        store.back_up(tree, "state 1", "alpha/vm", *options)
        disk[50_000:50_000] = b"an insertion, which moves all that follows"
        tree.file("disk", bytes(disk))
        tree.file("copy", bytes(disk))
        store.back_up(tree, "state 2", "alpha/vm", *options)
        del disk[200_000:260_000]
        tree.file("disk", bytes(disk) + text(73, 20_000))
        tree.rename("copy", "renamed")
        store.back_up(tree, "state 3", "alpha/vm", *options)
        store.finish()


def tar_levels(room):
    store = Store(room, "tar-levels", "a chain of seven levels made with --tar-levels")
    chain(room, store, "alpha/docs", ["--tar-levels"])
    store.finish()


def repacked(room):
    """What points in time that went had stored lies among what is needed, and is given back."""
    store = Store(room, "repacked", "four points in time of seven; one was removed with its data"
                                    " kept a while, and segments were repacked")
    options = ["--compression", "none"]
    tree = Tree(room / "repacked.tree")
    for number in range(7):
        for file in range(6):
            if number % (file + 1) == 0:
                tree.file(str(file), text(80 + 10 * number + file, 20_000) * 100)
        store.back_up(tree, f"state {number}", "alpha/docs", *options)
    ids = [point["level_id"] for point in store.points]
    for number in [0, 3]:
        store.run("prune", f"alpha/docs@{ids[number]}", "--yes", "--grace", "0")
    store.run("repack", "alpha/docs", "--below", "100%", "--yes", "--grace", "0")
    store.run("prune", f"alpha/docs@{ids[5]}", "--yes", "--grace", "1000d")
    store.refresh()
    objects = [str(path.relative_to(store.path)) for path in store.path.rglob("*")]
    for part in ["/repacked/", "withdrawn/"]:
        assert any(part in name for name in objects), (part, objects)
    store.finish()


def cut_off(room):
    """A run that was killed: its claim, its data and its checkpoint are left."""
    store = Store(room, "cut-off", "a point in time, and what a run left that was killed after it")
    tree = Tree(room / "cut-off.tree")
    tree.file("before", text(90, 3000))
    store.back_up(tree, "state 0", "alpha/docs")
    line = b"the same line, again and again\n"
    for number in range(3):
        # tests/it/old_bytes.rs makes the same files, with the same times.
        tree.file(f"long {number}", line * 500_000, mtime_ns=(NOW + number) * 10**9)
    tree.file("noise", noise(91, 20_000))
    tree.settle()
    os.utime(tree.path, ns=(NOW * 10**9, NOW * 10**9))
    command = store.command(
        "backup", os.fsdecode(tree.path), "-N", "docs", "--hostname", "alpha",
        "--checkpoint-interval", "0", "--upload-limit", "2KiB/s", "--max-segment-size", "4KiB",
    )
    child = subprocess.Popen(command, cwd=room, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        while not any("/checkpoints/" in str(path) for path in store.path.rglob("*")):
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    store.finish()


def lost(room):
    """A segment was damaged, what is lost was noted, and the next level stored it again."""
    store = Store(room, "lost", "a segment of the first level is lost: noted, and stored again by"
                                " the third")
    options = ["--compression", "none", "--max-segment-size", "2MiB"]
    tree = Tree(room / "lost.tree")
    for number in range(5):
        tree.file(f"f{number}", text(95 + number, 20_000) * 100)
    store.back_up(tree, "state 0", "alpha/docs", *options)
    tree.file("f4", text(120, 50_000))
    store.back_up(tree, "state 1", "alpha/docs", *options)
    segments = sorted(path for path in store.path.rglob("*") if "/segments/0" in str(path))
    first = [path for path in segments if store.points[0]["level_id"] in str(path)]
    with open(first[2], "r+b") as file:
        file.seek(30_000)
        byte = file.read(1)
        file.seek(30_000)
        file.write(bytes([byte[0] ^ 0x20]))
    store.run("repair", "alpha/docs", "--yes", code=3)
    assert (store.path / "lost").is_dir()
    store.back_up(tree, "state 1", "alpha/docs", *options)
    damage = [json.loads(line) for line in
              store.run("check", "--read-data", "--json", code=1).splitlines()]
    for event in damage:
        if event.get("event") == "damage" and event.get("file"):
            for point in store.points:
                if event["level_id"] <= point["level_id"] <= event["last_level_id"]:
                    store.lost.setdefault(point["level_id"], []).append(event["file"])
    assert store.lost, damage
    assert store.points[2]["level_id"] not in store.lost, store.lost
    store.finish(check=1)


def main():
    os.umask(0o022)
    os.makedirs(FOLDER, exist_ok=True)
    made = [name for name in os.listdir(FOLDER) if name.endswith((".json", ".tar.zst"))]
    if made:
        sys.exit(f"{FOLDER} holds stores already: they are never written again")
    with tempfile.TemporaryDirectory(prefix="freezer-old-bytes-") as room:
        for make in [plain, encrypted, codecs, blocks, tar_levels, repacked, cut_off, lost]:
            make(Path(room))
    write_sums()


def write_sums():
    names = sorted(n for n in os.listdir(FOLDER) if n.endswith((".json", ".tar.zst")))
    sums = [f"{hashlib.sha256(Path(FOLDER, n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    Path(FOLDER, "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main()
