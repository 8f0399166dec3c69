"""What the benchmark measures with: processes, adapters, mounts, page cache, results. python3
stdlib only, Linux."""

import functools, json, os, shutil, signal, subprocess, sys, threading, time

import gen

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH_DIR = gen.BENCH_DIR
PEERS = os.path.join(HERE, "peers")
# Restored and copied trees go to memory, and what is deleted on disk is only moved aside until the
# end: ext4 passes over recently deleted inodes one by one, and creating 16,000 files after such a
# deletion was seen to take 23 s in place of 1.4 s.
OUT_DIR = os.environ.get("BENCH_OUT") or os.path.join(
    "/dev/shm" if os.path.isdir("/dev/shm") else BENCH_DIR, "freezer-bench-%d" % os.getuid()
)
TRASH = os.path.join(BENCH_DIR, "work", ".trash")
TICK = os.sysconf("SC_CLK_TCK")


class Settings:
    """Of this run; the command line sets them."""

    limit = 600.0  # seconds for any one command
    drop_caches = False
    log = subprocess.DEVNULL  # what the tools print


def log(*a):
    print(time.strftime("%H:%M:%S"), *a, file=sys.stderr, flush=True)


class Cut(float):
    """A time at which a command was stopped: the real one is larger."""


def tree(pid):
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        try:
            for t in os.listdir("/proc/%d/task" % p):
                with open("/proc/%d/task/%s/children" % (p, t)) as f:
                    todo += map(int, f.read().split())
        except OSError:
            pass
    return out


def status_kb(pid, key):
    try:
        with open("/proc/%d/status" % pid) as f:
            for ln in f:
                if ln.startswith(key):
                    return int(ln.split()[1])
    except (OSError, IndexError):
        pass
    return 0


def cpu_of(pid):
    t = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/stat" % p) as f:
                s = f.read().rpartition(")")[2].split()
            t += sum(map(int, s[11:15]))
        except OSError:
            pass
    return t / TICK


class Proc:
    """A child in its own session; its whole tree's RSS is watched unless told otherwise."""

    def __init__(self, argv, env=None, watch=True):
        self.t0 = time.monotonic()
        self.p = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=Settings.log,
            stderr=Settings.log,
            start_new_session=True,
        )
        self.rss, self.stop = 0, threading.Event()
        self.th = threading.Thread(target=self.watch, daemon=True) if watch else None
        if self.th:
            self.th.start()

    def sample(self):
        # every live process's own high-water mark (ru_maxrss would count this runner's memory from
        # before the exec)
        self.rss = max(self.rss, sum(status_kb(p, "VmHWM:") for p in tree(self.p.pid)))

    def watch(self):
        while not self.stop.wait(0.03):
            self.sample()

    def wait(self, limit):
        end = time.monotonic() + limit
        timer = threading.Timer(limit, self.kill)
        timer.daemon = True
        timer.start()
        try:
            _, st, ru = os.wait4(self.p.pid, 0)
        except BaseException:  # interrupted: leave no child and no timer behind
            timer.cancel()
            self.kill()
            self.stop.set()
            raise
        self.wall = time.monotonic() - self.t0
        timer.cancel()
        self.p.returncode = os.waitstatus_to_exitcode(st)
        self.stop.set()
        if self.th:
            self.th.join()
        self.cpu = ru.ru_utime + ru.ru_stime
        self.rc = self.p.returncode if time.monotonic() < end else 124  # as timeout(1) says it
        return self

    def kill(self):
        try:
            os.killpg(self.p.pid, signal.SIGKILL)  # its own session: only what this run started
        except OSError:
            pass


class Tool:
    def __init__(self, name):
        self.name = name
        self.ref = name.startswith("ref-")
        r = subprocess.run(
            self.argv("version && echo && declare -F | cut -d' ' -f3 && echo ENC=$ENC"),
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.ok = r.returncode == 0
        head, _, rest = r.stdout.partition("\n\n")
        self.version = " ".join(head.split())
        self.funcs, self.enc = set(rest.split()), "ENC=no" not in rest

    def argv(self, code):
        return [
            "bash",
            "-c",
            "set -eo pipefail; . \"$PEERS/common.sh\"; . \"$PEERS/%s.sh\"; %s" % (self.name, code),
        ]

    def dirs(self, key):
        b = os.path.join(BENCH_DIR, "work", self.name, key)
        out = os.path.join(OUT_DIR, self.name, key, "dst")
        return dict({k: os.path.join(b, k.lower()) for k in ("REPO", "CACHE", "MNT")}, DST=out)

    def env(self, key="x", **kw):
        e = dict(
            os.environ,
            PASS="bench-passphrase",
            PEERS=PEERS,
            SRC="",
            NAME="",
            SEQ="0",
            LC_ALL="C.UTF-8",
            **self.dirs(key)
        )
        e.update({k: str(v) for k, v in kw.items()})
        return e

    def call(self, func, key, limit=3600, **kw):
        r = Proc(self.argv(func), self.env(key, **kw)).wait(limit)
        if r.rc:
            log("  !! %s %s %s: exit %d (see the log)" % (self.name, func, key, r.rc))
        return r

    def text(self, func, key, **kw):
        return subprocess.run(
            self.argv(func), env=self.env(key, **kw), capture_output=True, text=True
        ).stdout.strip()

    @functools.cache
    def counts(self):
        """Whether the mount tells how many requests it answered."""
        return (
            self.can("mount_stats")
            and subprocess.run(
                self.argv("mount_stats"), env=self.env(), stdout=Settings.log, stderr=Settings.log
            ).returncode
            == 0
        )

    def fresh(self, key):
        d = self.dirs(key)
        rmtree(os.path.dirname(d["REPO"]))
        rmtree(d["DST"])
        for v in d.values():
            os.makedirs(v)
        return self.call("init", key).rc == 0

    def can(self, f):
        return f in self.funcs


def rmtree(p):
    if os.path.ismount(os.path.join(p, "mnt")):
        raise SystemExit("still mounted: " + p)
    if (
        os.path.exists(p)
        and os.path.realpath(p).startswith(os.path.realpath(BENCH_DIR) + os.sep)
        and not p.startswith(TRASH)
    ):
        os.makedirs(TRASH, exist_ok=True)
        os.rename(p, os.path.join(TRASH, "%d-%d" % (os.getpid(), time.monotonic_ns())))
        return
    shutil.rmtree(p, ignore_errors=True)
    if os.path.exists(p):
        subprocess.run(["chmod", "-R", "u+rwX", p], stderr=Settings.log)
        shutil.rmtree(p, ignore_errors=True)


def du(p):
    n = 0
    for d, _, fs in os.walk(p):
        for f in fs:
            n += os.lstat(os.path.join(d, f)).st_size
    return n


def warm(p):
    """Read a tree once, so that every tool starts from the same warm caches."""
    for d, _, fs in os.walk(p):
        for f in fs:
            try:
                with open(
                    os.open(os.path.join(d, f), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK),
                    "rb",
                    buffering=0,
                ) as h:
                    while h.read(1 << 20):
                        pass
            except OSError:
                continue


def evict(p):
    """Drop a folder's file pages from the page cache (only its own: kinder than drop_caches)."""
    if Settings.drop_caches:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
        return
    for d, _, fs in os.walk(p):
        for f in fs:
            try:
                fd = os.open(os.path.join(d, f), os.O_RDONLY | os.O_NOFOLLOW)
            except OSError:
                continue
            os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


class Mount:
    """with Mount(tool, key) as m: m.root, m.ready (seconds to the first ls of the root; None: it
    failed)"""

    def __init__(self, tool, key, cold=True, fresh=False, **kw):
        self.tool, self.key, self.kw = tool, key, kw
        d = tool.dirs(key)
        self.mnt, self.stats = d["MNT"], os.path.join(os.path.dirname(d["MNT"]), "stats.json")
        self.counts = tool.counts()
        if (
            fresh
        ):  # an empty client-side state of its own: the real one also holds what increments need
            kw["CACHE"] = d["CACHE"] + "-fresh"
            shutil.rmtree(kw["CACHE"], ignore_errors=True)
            os.makedirs(kw["CACHE"])
        if (
            cold and not tool.ref
        ):  # the reference stays warm: loose cold files would make it no limit at all
            evict(d["REPO"])
            evict(d["CACHE"])

    def __enter__(self):
        self.root = self.tool.text("mount_root", self.key, **self.kw) + "/"  # it may be a link
        self.p = Proc(
            self.tool.argv("mount"),
            self.tool.env(self.key, STATS=self.stats if self.counts else "", **self.kw),
        )
        self.ready, dev = None, os.stat(os.path.dirname(self.mnt)).st_dev
        end = time.monotonic() + Settings.limit
        while time.monotonic() < end and self.p.p.poll() is None:
            try:
                if os.stat(self.mnt).st_dev != dev and os.listdir(self.root):
                    self.ready = time.monotonic() - self.p.t0
                    break
            except OSError:
                pass
            time.sleep(0.002)
        if self.ready is None:
            log("  !! %s mount %s failed (see the log)" % (self.tool.name, self.key))
        return self

    def cpu(self):
        return cpu_of(self.p.p.pid)

    def peak(self):
        self.p.sample()
        return self.p.rss

    def requests(self):
        """How many FUSE requests the mount has answered so far, but for STATFS: find asks that of
        the root in each run,
        and no kernel keeps the answer. None where the tool does not tell."""
        if not self.counts or self.p.p.poll() is not None:
            return None
        self.forget_stats()
        os.kill(self.p.p.pid, signal.SIGUSR1)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                with open(self.stats) as f:
                    stats = json.load(f)
                    return stats["answered"] - stats["requests"].get("statfs", 0)
            except (OSError, ValueError):  # not there yet, or half of it
                time.sleep(0.01)
        log("  !! %s wrote no %s" % (self.tool.name, self.stats))
        return None

    def forget_stats(self):
        if os.path.exists(self.stats):
            os.unlink(self.stats)

    def __exit__(self, *a):
        self.p.sample()
        for _ in range(20):
            if not os.path.ismount(self.mnt):
                break
            subprocess.run(
                self.tool.argv("umount"),
                env=self.tool.env(self.key, **self.kw),
                stdout=Settings.log,
                stderr=Settings.log,
            )
            time.sleep(0.1)
        try:
            self.p.p.wait(15)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.p.wait()
        self.p.stop.set()


def timed(cmd, limit=None):
    """Seconds of a shell command. None: it failed. A Cut: stopped at `limit`, which only a caller
    that gives one gets."""
    p = Proc(["bash", "-c", "set -o pipefail; " + cmd], watch=False).wait(limit or Settings.limit)
    if p.rc == 124 and limit:
        log("  .. stopped after %.0f s: %s" % (limit, cmd[:100]))
        return Cut(limit)
    if p.rc:
        log("  !! exit %d: %s" % (p.rc, cmd[:150]))
        return None
    return p.wall


def q(s):
    return "'" + s.replace("'", "'\\''") + "'"
