"""A store that is far away: Swift on this machine, with a relay before it that hands every byte on
later. python3 stdlib only, Linux."""

import collections, os, re, selectors, shutil, socket, subprocess, threading, time, urllib.request

from measure import HERE, Proc, Settings, log

ENV = os.path.join(HERE, "..", "tests", "env")
REQUEST = re.compile(rb"^(GET|HEAD|PUT|POST|DELETE) \S+ HTTP/1\.1\r\n")
# Bytes read at once. Pieces are used again, because to get and give back memory costs more than to
# hand the bytes on.
PIECE = 256 << 10
MOST_WAITING = 64 << 20  # bytes on the line in one direction: far more than any window


def free_ports(n, in_a_row=1):
    while True:
        socks = [socket.socket() for _ in range(n)]
        for s in socks:
            s.bind(("127.0.0.1", 0))
        ports = [s.getsockname()[1] for s in socks]
        for s in socks:
            s.close()
        if in_a_row == 1:
            return ports
        try:
            row = [socket.create_server(("127.0.0.1", ports[0] + i)) for i in range(in_a_row)]
        except OSError:
            continue
        for s in row:
            s.close()
        return [ports[0]]


class Server:
    """One of tests/env, up as long as the block lasts. Its settings are its items."""

    def __init__(self, name, folder, **env):
        self.script, self.folder = os.path.join(ENV, name + ".sh"), folder
        self.env = dict(os.environ, **{k: str(v) for k, v in env.items()})

    def __enter__(self):
        subprocess.run(
            [self.script, "up", self.folder],
            env=self.env,
            check=True,
            stdout=Settings.log,
            stderr=Settings.log,
        )
        with open(os.path.join(self.folder, "settings.env")) as f:
            self.settings = dict(ln.rstrip("\n").split("=", 1) for ln in f if "=" in ln)
        return self.settings

    def __exit__(self, *a):
        subprocess.run(
            [self.script, "down", self.folder],
            env=self.env,
            stdout=Settings.log,
            stderr=Settings.log,
        )


def swift(folder):
    proxy, memcache = free_ports(2)
    (row,) = free_ports(1, 3)
    return Server(
        "swift",
        folder,
        SWIFT_PORT=proxy,
        SWIFT_MEMCACHE_PORT=memcache,
        SWIFT_STORE_PORT=row,
        SWIFT_UPDATE_INTERVAL=300,
    )


def sshd(folder):
    return Server("sshd", folder, SSHD_PORT=free_ports(1)[0])


class Relay:
    """Hands bytes on to a server and back, each half of `delay` seconds later than it came; counts
    HTTP requests. One thread: what it costs, it costs everybody."""

    def __init__(self, host, port, delay):
        self.to, self.half = (host, port), delay / 2
        self.requests, self.seen = 0, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.stop = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *a):
        self.stop = True
        self.thread.join()
        self.listener.close()

    class Pipe:
        def __init__(self, src, dst, is_request):
            self.src, self.dst, self.is_request = src, dst, is_request
            self.line, self.bytes, self.ended, self.closed = collections.deque(), 0, False, False

    def run(self):
        sel = selectors.DefaultSelector()
        self.listener.setblocking(False)
        sel.register(self.listener, selectors.EVENT_READ, None)
        pipes, spare = [], []

        def want(pipe):  # whether more may be read
            reads = not pipe.ended and pipe.bytes < MOST_WAITING
            registered = pipe.src in sel.get_map()
            if reads and not registered:
                sel.register(pipe.src, selectors.EVENT_READ, pipe)
            elif not reads and registered:
                sel.unregister(pipe.src)

        while not self.stop:
            now, nearest = time.monotonic(), 0.1
            for pipe in pipes[:]:
                if pipe.closed:
                    continue
                while pipe.line and pipe.line[0][0] <= now:
                    chunk = pipe.line[0][1]
                    try:
                        sent = pipe.dst.send(chunk) if chunk else 0
                    except BlockingIOError:
                        nearest = min(nearest, 0.0005)
                        break
                    except OSError:
                        pipe.line.clear()
                        pipe.bytes, pipe.ended = 0, True
                        break
                    if not chunk:  # the end
                        pipe.line.popleft()
                        try:
                            pipe.dst.shutdown(socket.SHUT_WR)
                        except OSError:
                            pass
                        continue
                    pipe.bytes -= sent
                    if sent == len(chunk):
                        pipe.line.popleft()
                        spare.append(chunk.obj)
                    else:
                        pipe.line[0] = (pipe.line[0][0], chunk[sent:])
                        nearest = min(nearest, 0.0005)
                        break
                if pipe.line:
                    nearest = min(nearest, max(0.0, pipe.line[0][0] - now))
                want(pipe)
                other = pipe.twin
                if pipe.ended and not pipe.line and other.ended and not other.line:
                    for p in (pipe, other):
                        want(p)
                        p.closed = True
                        pipes.remove(p)
                    pipe.src.close(), pipe.dst.close()
            for key, _ in sel.select(nearest):
                if key.data is None:
                    client, _ = self.listener.accept()
                    server = socket.create_connection(self.to)
                    a, b = self.Pipe(client, server, True), self.Pipe(server, client, False)
                    a.twin, b.twin = b, a
                    for s in (client, server):
                        s.setblocking(False)
                        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    pipes += [a, b]
                    want(a), want(b)
                    continue
                pipe = key.data
                room = spare.pop() if spare else bytearray(PIECE)
                try:
                    chunk = memoryview(room)[: pipe.src.recv_into(room)]
                except BlockingIOError:
                    spare.append(room)
                    continue
                except OSError:
                    chunk = b""
                if pipe.is_request and chunk:
                    first = REQUEST.match(bytes(chunk[:2048]))
                    if first:
                        self.requests += 1
                        self.seen.append(first.group(0).decode("latin1").strip())
                if not chunk:
                    pipe.ended = True
                pipe.line.append((time.monotonic() + self.half, chunk))
                pipe.bytes += len(chunk)
                want(pipe)
        sel.close()


def program():
    return os.environ.get("FREEZER") or os.path.join(HERE, "..", "target", "release", "freezer")


def random_file(path, mib):
    if not os.path.exists(path) or os.path.getsize(path) != mib << 20:
        with open(path, "wb") as f:
            for _ in range(mib):
                f.write(os.urandom(1 << 20))
    return path


class FarMount:
    """with FarMount(url, env, key, mnt, name) as m: m.ready, seconds to the first ls of the root"""

    def __init__(self, url, env, key, mnt, name):
        self.mnt, self.env = mnt, env
        os.makedirs(mnt, exist_ok=True)
        self.argv = [
            program(),
            "mount",
            name + "@latest",
            mnt,
            "--store",
            url,
            "--encrypt-pass-file",
            key,
            "--foreground",
            "--quiet",
        ]

    def __enter__(self):
        dev = os.stat(os.path.dirname(self.mnt)).st_dev
        self.p, self.ready = Proc(self.argv, self.env), None
        while self.p.p.poll() is None and time.monotonic() - self.p.t0 < Settings.limit:
            if os.stat(self.mnt).st_dev != dev and os.listdir(self.mnt):
                self.ready = time.monotonic() - self.p.t0
                return self
            time.sleep(0.002)
        raise SystemExit("the mount did not come about: see the log")

    def __exit__(self, *a):
        subprocess.run(
            [program(), "umount", self.mnt, "--quiet"], stdout=Settings.log, stderr=Settings.log
        )
        self.p.wait(30)


def seconds(argv, env, **kw):
    t = time.monotonic()
    subprocess.run(
        argv,
        env=env,
        check=True,
        stdout=kw.get("stdout", Settings.log),
        stderr=Settings.log,
        stdin=subprocess.DEVNULL,
        cwd=kw.get("cwd"),
    )
    return time.monotonic() - t


def token(st):
    r = urllib.request.urlopen(
        urllib.request.Request(
            st["ST_AUTH"], headers={"X-Auth-User": st["ST_USER"], "X-Auth-Key": st["ST_KEY"]}
        )
    )
    return r.headers["X-Storage-Url"], r.headers["X-Auth-Token"]


def w_far(add, data, work, scale, reps, delay=0.020):
    """First ls and cat over Swift with 20 ms added to each round trip, against curl and swift
    through the same relay."""
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    mib = int(1024 * scale)
    key, big = os.path.join(work, "key"), os.path.join(work, "big")
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write("a passphrase for the benchmark\n")
    os.mkdir(big)
    random_file(os.path.join(big, "file"), mib)
    base = dict(
        os.environ,
        XDG_CACHE_HOME=work,
        XDG_DATA_HOME=work,
        XDG_STATE_HOME=work,
        XDG_CONFIG_HOME=work,
        PYTHONWARNINGS="ignore",
        LC_ALL="C.UTF-8",
    )
    with swift(os.path.join(work, "swift")) as st:
        near = dict(base, **{k: st[k] for k in ("ST_AUTH", "ST_USER", "ST_KEY")})
        for name, source in (("many", data["n500k"]), ("big", big)):
            seconds(
                [
                    program(),
                    "backup",
                    source,
                    "-N",
                    name,
                    "--store",
                    "swift:far/" + name,
                    "--encrypt-pass-file",
                    key,
                    "--quiet",
                ],
                near,
            )
        url, tok = token(near)
        seconds(
            [
                "curl",
                "-sSf",
                "-X",
                "PUT",
                "-H",
                "X-Auth-Token: " + tok,
                "-T",
                os.path.join(big, "file"),
                url + "/far/plain",
            ],
            near,
        )
        host, port = st["SWIFT_URL"].split("//")[1].split(":")
        with Relay(host, int(port), delay) as relay:
            far = dict(near, ST_AUTH="http://127.0.0.1:%d/auth/v1.0" % relay.port)
            url, tok = token(far)
            mnt = os.path.join(work, "mnt")
            for rep in range(reps):
                before = relay.requests
                with FarMount("swift:far/many", far, key, mnt, "many") as m:
                    add(
                        "far",
                        "first ls of 500,000 files: requests",
                        "freezer",
                        "",
                        relay.requests - before,
                    )
                    add("far", "first ls of 500,000 files", "freezer", "s", m.ready)
                log(
                    "far: first ls %.3f s, %d requests: %s"
                    % (m.ready, relay.requests - before, relay.seen[before:])
                )
                with FarMount("swift:far/big", far, key, mnt, "big"):
                    before = relay.requests
                    t = seconds(["cat", os.path.join(mnt, "file")], far, stdout=subprocess.DEVNULL)
                    add("far", "cat", "freezer", "MiB/s", mib / t)
                    add("far", "cat: requests", "freezer", "", relay.requests - before)
                add(
                    "far",
                    "cat",
                    "curl",
                    "MiB/s",
                    mib
                    / seconds(
                        [
                            "curl",
                            "-sSf",
                            "-H",
                            "X-Auth-Token: " + tok,
                            "-o",
                            "/dev/null",
                            url + "/far/plain",
                        ],
                        far,
                    ),
                )
                add(
                    "far",
                    "cat",
                    "swift",
                    "MiB/s",
                    mib
                    / seconds(
                        ["swift", "download", "far", "plain", "-o", "-"],
                        far,
                        stdout=subprocess.DEVNULL,
                    ),
                )
                log("far: cat %.0f MiB/s" % (mib / t))
    shutil.rmtree(work, ignore_errors=True)


def w_stores(add, work, scale, reps):
    """64 MiB objects put and got, and parts of them read, on Swift, S3 and SFTP: ours
    (benches/stores.rs), and the clients of each."""
    shutil.rmtree(work, ignore_errors=True)
    count, mib = max(2, int(16 * scale)), 64
    files = os.path.join(work, "files")
    os.makedirs(files)
    for n in range(count):
        random_file(os.path.join(files, "%08d" % n), mib)
    back = "/dev/shm/freezer-bench-stores-%d" % os.getuid()
    total = count * mib
    base = dict(os.environ, PYTHONWARNINGS="ignore", LC_ALL="C.UTF-8")

    def ours(kind, url, env):
        cargo = [
            "cargo",
            "bench",
            "--quiet",
            "--locked",
            "--bench",
            "stores",
            "--manifest-path",
            os.path.join(HERE, "..", "Cargo.toml"),
            "--",
        ]
        out = subprocess.run(
            cargo + [url, str(count), str(mib)],
            env=env,
            check=True,
            stdout=subprocess.PIPE,
            stderr=Settings.log,
            text=True,
        ).stdout
        for ln in out.splitlines():
            what, tab, value = ln.partition("\t")
            if tab:
                name, _, unit = what.rpartition(", ")
                add("stores " + kind, name, "freezer", unit, float(value))

    def theirs(kind, tool, metric, argv, env, **kw):
        if metric == "get":
            shutil.rmtree(back, ignore_errors=True)
            os.makedirs(back)
        try:
            add("stores " + kind, metric, tool, "MiB/s", total / seconds(argv, env, **kw))
        except (OSError, subprocess.CalledProcessError) as e:
            log("  !! %s %s %s: %s" % (kind, tool, metric, e))
        if metric == "get":
            got = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(back) for f in fs)
            if got != total << 20:
                log("  !! %s %s brought %d bytes back" % (kind, tool, got))
            shutil.rmtree(back, ignore_errors=True)

    with swift(os.path.join(work, "swift")) as st, sshd(os.path.join(work, "sshd")) as ssh:
        sw = dict(base, **{k: st[k] for k in ("ST_AUTH", "ST_USER", "ST_KEY")})
        s3 = dict(
            base,
            AWS_ENDPOINT_URL=st["S3_ENDPOINT"],
            AWS_ACCESS_KEY_ID=st["S3_ACCESS_KEY"],
            AWS_SECRET_ACCESS_KEY=st["S3_SECRET_KEY"],
            AWS_DEFAULT_REGION=st["S3_REGION"],
            AWS_EC2_METADATA_DISABLED="true",
        )
        rc = dict(
            s3,
            RCLONE_CONFIG="/dev/null",
            RCLONE_CONFIG_T_TYPE="s3",
            RCLONE_CONFIG_T_PROVIDER="Other",
            RCLONE_CONFIG_T_ENV_AUTH="true",
            RCLONE_CONFIG_T_ENDPOINT=st["S3_ENDPOINT"],
            RCLONE_CONFIG_T_FORCE_PATH_STYLE="true",
        )
        rc.pop("AWS_CA_BUNDLE", None)  # rclone takes no bundle from there, and stops
        there = ssh["SSH_DIR"] + "/files"
        os.makedirs(there, exist_ok=True)
        for rep in range(reps):
            ours("swift", "swift:bench/ours", sw)
            theirs(
                "swift",
                "swift",
                "put",
                ["swift", "upload", "-q", "--object-threads", "2", "bench", "."],
                sw,
                cwd=files,
            )
            theirs(
                "swift",
                "swift",
                "get",
                [
                    "swift",
                    "download",
                    "-q",
                    "--object-threads",
                    "2",
                    "-D",
                    back,
                    "bench",
                    "--prefix",
                    "0",
                ],
                sw,
            )
            ours("s3", "s3://bench-s3/ours", s3)
            theirs(
                "s3",
                "aws",
                "put",
                ["aws", "s3", "cp", "--quiet", "--recursive", files, "s3://bench-s3/aws/"],
                s3,
            )
            theirs(
                "s3",
                "aws",
                "get",
                ["aws", "s3", "cp", "--quiet", "--recursive", "s3://bench-s3/aws/", back],
                s3,
            )
            theirs(
                "s3",
                "rclone",
                "put",
                [
                    "rclone",
                    "copy",
                    "--ignore-times",
                    "--transfers",
                    "2",
                    files,
                    "t:bench-s3/rclone",
                ],
                rc,
            )
            theirs(
                "s3",
                "rclone",
                "get",
                ["rclone", "copy", "--transfers", "2", "t:bench-s3/rclone", back],
                rc,
            )
            ours(
                "sftp",
                "sftp://%s@%s:%s%s/ours?key=%s&known_hosts=%s"
                % tuple(
                    ssh[k]
                    for k in (
                        "SSH_USER",
                        "SSH_HOST",
                        "SSH_PORT",
                        "SSH_DIR",
                        "SSH_KEY",
                        "SSH_KNOWN_HOSTS",
                    )
                ),
                base,
            )
            theirs(
                "sftp",
                "scp",
                "put",
                ["scp", "-q", "-r", "-F", ssh["SSH_CONFIG"], files, "fz-test:" + there],
                base,
            )
            theirs(
                "sftp",
                "scp",
                "get",
                ["scp", "-q", "-r", "-F", ssh["SSH_CONFIG"], "fz-test:" + there + "/files", back],
                base,
            )
            batch = os.path.join(work, "batch")
            for metric, lines in (
                ("put", "cd %s\nput -r %s\n" % (there, files)),
                ("get", "get -r %s/files %s\n" % (there, back)),
            ):
                with open(batch, "w") as f:
                    f.write(lines)
                theirs(
                    "sftp",
                    "sftp",
                    metric,
                    ["sftp", "-q", "-F", ssh["SSH_CONFIG"], "-b", batch, "fz-test"],
                    base,
                )
            log("stores: repetition %d done" % (rep + 1))
    shutil.rmtree(work, ignore_errors=True)
