#!/usr/bin/env python3
"""The server under the polls of 10,000 nodes, beside the original's: python3 stdlib only, Linux.

  run.py [--scale S]      with S x 10,000 nodes, 100,000 jobs and 1,000,000 records of backups;
                          prints the tables of docs/performance.md

A real PostgreSQL (tests/env/postgres.sh) holds four databases: for ours and for freezer-api 19 from
PyPI each one that is full and one that has a single project. wrk on the same machine asks what
schedulers ask: the jobs of one node that are not completed.
Environment: BENCH_DIR (data, kept; default <cache>/freezer-bench), FREEZER (the program; default
target/release/freezer).
"""

import argparse, json, os, pathlib, re, signal
import socket, subprocess, sys, time, urllib.error, urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
PLACE = pathlib.Path(os.environ.get("BENCH_DIR", CACHE / "freezer-bench")) / "api"
FREEZER = os.environ.get("FREEZER", str(ROOT / "target/release/freezer"))
NODES, JOBS_OF_A_NODE, BACKUPS_OF_A_NODE, NODES_OF_A_PROJECT = 10_000, 10, 100, 100
PAGE, RATE = 10, 3000
TIMES = {
    "schedule_interval": "1 days",
    "time_created": 1_790_000_000,
    "time_started": -1,
    "time_ended": -1,
    "event": "",
    "result": "",
}


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def run(*command, **more):
    return subprocess.run(
        [str(word) for word in command], check=True, text=True, stdout=subprocess.PIPE, **more
    ).stdout


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Postgres:
    """As Debian sets it up, with everything flushed."""

    def __init__(self):
        self.script, self.state = ROOT / "tests/env/postgres.sh", PLACE / "postgres"
        told = run(
            self.script, "up", self.state, env={**os.environ, "POSTGRES_PORT": str(free_port())}
        )
        self.address = re.search(r"DATABASE_URL=(.*)/fz\n", told)[1]

    def sql(self, database, text):
        return run(
            "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", f"{self.address}/{database}", input=text
        ).strip()

    def made(self, name):
        """Whether a database is there as a whole; else there is an empty one afterwards."""
        if self.sql(
            "fz",
            f"select 1 from pg_database where datname = '{name}'"
            " and shobj_description(oid, 'pg_database') = 'whole'",
        ):
            return True
        self.sql("fz", f"set client_min_messages = warning; drop database if exists {name}")
        self.sql("fz", f"create database {name}")
        return False

    def whole(self, name):
        self.sql(name, f"vacuum analyze; comment on database {name} is 'whole'")

    def down(self):
        run(self.script, "down", self.state, env={**os.environ, "FZ_KEEP": "1"})


def clients(nodes, projects):
    for node in range(nodes):
        yield f"project{node % projects}", node, f"project{node % projects}_node{node}"


def options(node, job):
    return {
        "action": "backup",
        "mode": "fs",
        "backup_name": f"backup{job}",
        "path_to_backup": f"/srv/data{job}",
        "container": f"/mnt/store/node{node}",
        "storage": "local",
        "hostname": f"node{node}",
        "max_level": 6,
        "compression": "zstd",
        "timeout": None,
        "priority": None,
        "log_file": None,
    }


def metadata(node, number):
    return {
        "action": "backup",
        "backup_name": f"backup{number % JOBS_OF_A_NODE}",
        "hostname": f"node{node}",
        "container": f"/mnt/store/node{node}",
        "path_to_backup": f"/srv/data{number % JOBS_OF_A_NODE}",
        "fs_real_path": f"/srv/data{number % JOBS_OF_A_NODE}",
        "vol_snap_path": "",
        "client_os": "linux",
        "client_version": "19.0.0",
        "time_stamp": 1_790_000_000 + 86_400 * (number // JOBS_OF_A_NODE) + node % 3600,
        "backup_media": "fs",
        "storage": "local",
        "mode": "fs",
        "compression": "zstd",
        "engine_name": "tar",
        "level": number // JOBS_OF_A_NODE % 7,
        "curr_backup_level": number // JOBS_OF_A_NODE % 7,
        "max_level": 6,
        "always_level": "",
        "dry_run": "",
        "log_file": "",
        "proxy": "",
        "job_id": f"job{node}x{number % JOBS_OF_A_NODE}",
    }


def documents(nodes, projects):
    """What ours takes in, as the original kept it in Elasticsearch. Half of the jobs of a node are
    completed."""
    for project, node, client in clients(nodes, projects):
        own = {"project_id": project, "user_id": "bench"}
        about = {
            "client_id": client,
            "hostname": f"node{node}",
            "uuid": f"{node:032x}",
            "description": None,
            "is_central": False,
        }
        yield "clients", client, {**own, "client": about}
        for job in range(JOBS_OF_A_NODE):
            id = f"job{node}x{job}"
            action = {
                **own,
                "action_id": "action" + id,
                "freezer_action": options(node, job),
                "max_retries": 5,
                "max_retries_interval": 6,
                "mandatory": False,
            }
            yield "actions", "action" + id, action
            schedule = {**TIMES, "status": "completed" if job % 2 else "scheduled"}
            yield "jobs", id, {
                **own,
                "job_id": id,
                "client_id": client,
                "description": f"job {job}",
                "session_id": "",
                "session_tag": 0,
                "job_schedule": schedule,
                "job_actions": [action],
            }
    for number in range(BACKUPS_OF_A_NODE):
        for project, node, client in clients(nodes, projects):
            id = f"backup{node}x{number}"
            yield "backups", id, {
                "backup_id": id,
                "project_id": project,
                "user_id": "bench",
                "status": "available",
                "backup_metadata": metadata(node, number),
            }


def fill_ours(postgres, name, nodes, projects):
    address = PLACE / name
    address.touch(0o600)
    address.write_text(f"{postgres.address}/{name}\n")
    if postgres.made(name):
        return
    began, count = time.time(), 0
    taker = subprocess.Popen(
        [FREEZER, "api", "import", "/dev/stdin", "--database-file", str(address)],
        stdin=subprocess.PIPE,
        text=True,
    )
    for kind, id, source in documents(nodes, projects):
        taker.stdin.write(
            json.dumps({"_index": "freezer", "_type": kind, "_id": id, "_source": source}) + "\n"
        )
        count += 1
    taker.stdin.close()
    assert taker.wait() == 0
    log(f"{name}: {count} documents taken in, {count / (time.time() - began):.0f} a second")
    # A token for each node: its SHA-256 is what is stored.
    postgres.sql(
        name,
        f"""insert into tokens (digest, id, user_id, user_name, project_id, roles, client_id,
            comment, created_us, expires_us)
        select encode(sha256(convert_to('fzt_bench' || n, 'UTF8')), 'hex'), 'bench' || n, 'node',
            'node', 'project' || n % {projects}, 'node',
        'project' || n % {projects} || '_node' || n, '', 0, 9223372036854775807 from
            generate_series(0, {nodes - 1}) n""",
    )
    postgres.whole(name)


def fill_original(postgres, original, name, nodes, projects):
    original.configure(
        name, f"{postgres.address.replace('postgres:', 'postgresql+psycopg2:')}/{name}"
    )
    if postgres.made(name):
        return
    # The original's tables have a column of a type that MySQL has and PostgreSQL has not.
    postgres.sql(name, "create domain blob as bytea")
    original.manage(name, "db", "sync")
    text = lambda value: "'" + json.dumps(value).replace("'", "''") + "'"
    with_numbers = (
        lambda value: text(value)
        .replace("@node", "' || n || '")
        .replace("@job", "' || j || '")
        .replace("@", "")
    )
    options_of = lambda: {
        key: value
        for key, value in options("@node", "@job").items()
        if key not in ("timeout", "priority", "log_file")
    }
    metadata_of = with_numbers(
        {
            **metadata(0, 0),
            "hostname": "node@node",
            "container": "/mnt/store/node@node",
            "job_id": "job@nodex@job",
        }
    )
    of_node, of_job = (
        f"from generate_series(0, {nodes - 1}) n",
        f"from generate_series(0, {nodes - 1}) n, generate_series(0, {JOBS_OF_A_NODE - 1}) j",
    )
    project = f"'project' || n % {projects}"
    client = f"{project} || '_node' || n"
    completed = text({**TIMES, 'status': 'completed'})
    scheduled = text({**TIMES, 'status': 'scheduled'})
    schedule = f"case when j % 2 = 1 then {completed} else {scheduled} end"
    postgres.sql(
        name,
        f"""set session_replication_role = replica;
        insert into clients (id, client_id, project_id, user_id, hostname, uuid, is_central,
            deleted)
            select {client}, {client}, {project}, 'bench', 'node' || n, md5(n::text), false, false
                {of_node};
        insert into actions (id, action, project_id, user_id, actionmode, path_to_backup,
            backup_name, container, max_retries, max_retries_interval, mandatory,
            deleted, backup_metadata)
            select 'ajob' || n || 'x' || j, 'backup', {project}, 'bench', 'fs', '/srv/data' || j,
                'backup' || j, '/mnt/store/node' || n, 5, 6, false, false,
            {with_numbers(options_of())} {of_job};
        insert into jobs (id, project_id, user_id, schedule, client_id, session_id, session_tag,
            description, deleted)
            select 'job' || n || 'x' || j, {project}, 'bench', {schedule}, {client}, '', 0, 'job '
                || j, false {of_job};
        insert into job_actions (id, job_id, action_id, position, deleted)
            select 'l' || n || 'x' || j, 'job' || n || 'x' || j, 'ajob' || n || 'x' || j, 0, false
                {of_job};
        insert into backups (id, job_id, project_id, user_id, status, backup_metadata, deleted)
            select 'backup' || n || 'x' || j || 'x' || k, 'job' || n || 'x' || j, {project},
                'bench', 'available', {metadata_of}, false
            {of_job}, generate_series(0, {BACKUPS_OF_A_NODE // JOBS_OF_A_NODE - 1}) k;""",
    )
    postgres.whole(name)


class Server:
    """A server that runs."""

    def __init__(self, command, url, **more):
        self.process = subprocess.Popen(
            [str(word) for word in command], start_new_session=True, **more
        )
        self.url = url or re.search(r"listening at (\S+)", self.process.stdout.readline())[1]
        for _ in range(600):
            assert self.process.poll() is None, "it does not start"
            try:
                urllib.request.urlopen(self.url + "/").close()
            except urllib.error.HTTPError:
                break  # 300: it lists versions
            except OSError:
                time.sleep(0.1)

    def processor(self):
        """Seconds of processor time of its processes."""
        ticks = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self):
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def ours(name):
    return Server(
        [FREEZER, "api", "--listen", "127.0.0.1:0", "--database-file", PLACE / name],
        None,
        stdout=subprocess.PIPE,
        text=True,
    )


class Original:
    """freezer-api 19 under uWSGI, a process for each core. It does not check tokens here: that
    makes it faster."""

    def __init__(self):
        self.bin = pathlib.Path(
            run(ROOT / "tests/env/freezer-original.sh", "freezer-api", PLACE / "original").strip()
        )
        if not (self.bin / "uwsgi").exists():
            run(
                self.bin / "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "psycopg2-binary",
                "uwsgi",
            )

    def configure(self, name, connection):
        home = PLACE / f"{name}.d"
        home.mkdir(parents=True, exist_ok=True)
        paste = (
            (self.bin / "../etc/freezer/freezer-paste.ini")
            .read_text()
            .replace("versionsNegotiator authtoken context", "versionsNegotiator context")
        )
        (home / "freezer-paste.ini").write_text(paste)
        (home / "freezer-api.conf").write_text(
            f"[DEFAULT]\n[paste_deploy]\nconfig_file = {home}/freezer-paste.ini\n"
            "[storage]\ndriver = sqlalchemy\nbackend = sqlalchemy\n"
            f"[database]\nconnection = {connection}\n[oslo_policy]\nenforce_scope = False\n"
        )

    def manage(self, name, *words):
        run(
            self.bin / "freezer-manage",
            "--config-file",
            PLACE / f"{name}.d/freezer-api.conf",
            *words,
        )

    def start(self, name):
        url, home = f"http://127.0.0.1:{free_port()}", PLACE / f"{name}.d"
        log_file = open(home / "log", "w")
        return Server(
            [
                self.bin / "uwsgi",
                "--http-socket",
                url[7:],
                "--master",
                "--processes",
                os.cpu_count(),
                "--enable-threads",
                "--lazy-apps",
                "--need-app",
                "--die-on-term",
                "--disable-logging",
                "--add-header",
                "Connection: close",
                "--buffer-size",
                65535,
                "--virtualenv",
                self.bin.parent,
                "--module",
                "freezer_api.wsgi",
                "--pyargv",
                f"--config-file {home}/freezer-api.conf",
            ],
            url,
            stdout=log_file,
            stderr=log_file,
        )


def polls(server, kind, seconds, connections, nodes, projects, rate=0):
    before = server.processor()
    told = run(
        "wrk",
        "-t",
        2,
        "-c",
        connections,
        "-d",
        f"{seconds}s",
        "--timeout",
        "60s",
        "-s",
        HERE / "poll.lua",
        server.url,
        "--",
        kind,
        nodes,
        projects,
        rate / 2,
    )
    result = json.loads(re.search(r"^RESULT (.*)$", told, re.M)[1])
    result["rate"] = result["polls"] / result["seconds"]
    result["processor_us"] = (server.processor() - before) / max(result["polls"], 1) * 1e6
    log(kind, json.dumps(result))
    assert not result["errors"] and not result["lost"], "polls were not answered"
    return result


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seconds", type=int, default=20, help="how long each figure is measured")
    parser.add_argument(
        "--fill",
        action="store_true",
        help="make the databases only, so that measuring takes as little time as it can",
    )
    wanted = parser.parse_args()
    nodes = max(
        NODES_OF_A_PROJECT, int(NODES * wanted.scale) // NODES_OF_A_PROJECT * NODES_OF_A_PROJECT
    )
    projects = nodes // NODES_OF_A_PROJECT
    few = 2
    full = f"{nodes * JOBS_OF_A_NODE:,} jobs, {nodes * BACKUPS_OF_A_NODE:,} backups"
    small = f"{few * JOBS_OF_A_NODE:,} jobs, {few * BACKUPS_OF_A_NODE:,} backups"
    PLACE.mkdir(parents=True, exist_ok=True)
    postgres, original = Postgres(), Original()
    try:
        sizes = [("full", full, nodes, projects), ("small", small, few, 1)]
        for size, _, count, of in sizes:
            name = f"_{nodes}" if size == "full" else ""
            fill_ours(postgres, f"ours_{size}{name}", count, of)
            fill_original(postgres, original, f"original_{size}{name}", count, of)
        if wanted.fill:
            return
        rows, fastest = [], {}
        for size, about, count, of in sizes:
            name = f"_{nodes}" if size == "full" else ""
            server = ours(f"ours_{size}{name}")
            try:
                polls(server, "ours", 5, 32, count, of)
                at_rate = polls(server, "ours", wanted.seconds, 200, count, of, RATE)
                all_out = polls(server, "ours", wanted.seconds // 2, 32, count, of)
            finally:
                server.end()
            server = original.start(f"original_{size}{name}")
            try:
                # With a thousand jobs in the project each of its answers takes seconds.
                polls(server, "original", 5, os.cpu_count(), count, of)
                theirs = polls(server, "original", 2 * wanted.seconds, os.cpu_count(), count, of)
            finally:
                server.end()
            fastest[size] = all_out["rate"]
            rows.append(
                [
                    about,
                    f"{at_rate['rate']:.0f}",
                    *(f"{at_rate[key]:.1f}" for key in ("p50", "p99", "p999")),
                    f"{all_out['rate']:.0f}",
                    f"{theirs['rate']:.1f}",
                    (
                        f"{all_out['rate'] / theirs['rate']:.0f}"
                        if theirs["polls"]
                        else "no answer came"
                    ),
                ]
            )
    finally:
        postgres.down()
    print(
        "| database | polls a second | p50 (ms) | p99 (ms) | p99.9 (ms) "
        "| most polls a second | freezer-api 19 | times as many |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(
        f"\nThe full database answers {fastest['full'] / fastest['small']:.2f}"
        " times as many as the small one."
    )


main()
