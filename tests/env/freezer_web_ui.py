"""freezer_web_ui.py URL TOKEN PROJECT: everything that the pages of freezer-web-ui 19 ask of a
server, asked of this one.

Horizon itself is not there: what is called is the module between its pages and the server
(freezer_ui.api.api), with what the forms of the pages hand it. Needs three registered clients,
node1 to node3, and a record of a backup of node2. Prints what it did; fails at the first thing that
is not as the pages need it.
"""

import sys
import types

from django.conf import settings

url, token, project = sys.argv[1:]
settings.configure(
    OPENSTACK_KEYSTONE_URL=url + "/v3",
    INTEGRATION_TESTS_SUPPORT=False,
    HORIZON_CONFIG={},
    MEMOIZED_MAX_SIZE_DEFAULT=25,
    USE_TZ=True,
)
import django

django.setup()
from freezer_ui import utils
from freezer_ui.api import api

# The endpoint out of the catalogue, as the dashboard has it from Keystone.
catalog = [{"type": "backup", "endpoints": [{"interface": "public", "url": url}]}]
user = types.SimpleNamespace(
    token=types.SimpleNamespace(id=token),
    project_id=project,
    domain_name="Default",
    service_catalog=catalog,
)


class Request:
    """What the module looks at of a request of Django. It remembers by it, so there can be weak
    references to it."""

    def __init__(self):
        self.user = user


request = Request()


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def done(*words):
    print(*words, flush=True)


# Clients: the table, its search box, the page of one.
clients = api.Client(request)
same([client.hostname for client in clients.list()], ["node1", "node2", "node3"])
same([client.hostname for client in clients.list(search="node2")], ["node2"])
same(clients.list(search="nothing like it"), [])
second = clients.list(search="node2")[0]
same(clients.get(second.client_id).hostname, "node2")
same(clients.get(second.client_id, json=True)["client"]["uuid"], second.uuid)
same(len(clients.list(json=True)), 3)
done("clients")

# Actions: what the form sends when it is filled in, a list, a search, an edit.
actions = api.Action(request)
form = {
    "action_id": "",
    "action": "backup",
    "mode": "fs",
    "backup_name": "my backup",
    "path_to_backup": "/srv",
    "storage": "local",
    "container": "/mnt/store",
    "mysql_conf": "",
    "nova_inst_id": "",
    "max_level": None,
    "no_incremental": False,
    "snapshot": False,
    "encryption_password": "",
    "log_file": "",
    "exclude": "",
    "dereference_symlink": False,
    "max_priority": False,
    "max_retries": 3,
    "max_retries_interval": 0,
    "mandatory": True,
}
action = actions.create(dict(form))
plain = actions.create(
    {
        **form,
        "backup_name": "second",
        "max_retries": None,
        "max_retries_interval": None,
        "mandatory": False,
        "mode": "mssql",
    }
)
shown = actions.get(action)
same(
    (shown.backup_name, shown.max_retries, shown.max_retries_interval, shown.mandatory),
    ("my_backup", 3, 0, True),
)
same([one.backup_name for one in actions.list()], ["my_backup", "second"])
same([one.backup_name for one in actions.list(search="second")], ["second"])
actions.update(
    {
        **form,
        "action_id": action,
        "backup_name": "my_backup",
        "container": "/mnt/other",
        "max_retries": 4,
        "mandatory": "",
    },
    action,
)
shown = actions.get(action)
same(
    (shown.container, shown.path_to_backup, shown.max_retries, shown.mandatory),
    ("/mnt/other", "/srv", 4, True),
)
same(actions.get(plain, json=True)["freezer_action"]["mode"], "mssql")
same(actions.get(action, json=True)["freezer_action"]["backup_name"], "my_backup")
done("actions")

# Jobs: made for the second of three clients, by its uuid; an edit, a clone, buttons.
jobs = api.Job(request)
form = {
    "description": "nightly",
    "job_id": "",
    "actions": f"==={action}==={plain}",
    "schedule_start_date": "",
    "schedule_end_date": "",
    "interval_uint": "days",
    "interval_value": 1,
    "schedule_interval": "1 days",
    "clients": [second.uuid],
}
same(jobs.create(dict(form)), True)
made = jobs.list(limit=100)
same([(job.description, job.client_id) for job in made], [("nightly", second.client_id)])
job = made[0].job_id
stored = jobs.get(job, json=True)
same(
    (stored["job_schedule"]["event"], stored["job_schedule"]["schedule_interval"]),
    ("stop", "1 days"),
)
same([one["action_id"] for one in stored["job_actions"]], [action, plain])
same([one.backup_name for one in jobs.actions(job)], ["my_backup", "second"])
same(len(jobs.actions(job, api=True)), 2)
same((jobs.get(job).description, jobs.get(job).result), ("nightly", "pending"))
jobs.update(
    job,
    {
        "description": "weekly",
        "job_id": job,
        "actions": "",
        "schedule_start_date": "2030-01-01T00:00:00",
        "schedule_interval": "1 weeks",
        "schedule_end_date": "",
    },
)
schedule = jobs.get(job, json=True)["job_schedule"]
same(
    (schedule["schedule_interval"], schedule["event"], schedule["status"], schedule["result"]),
    ("1 weeks", "stop", "", ""),
)
same([one["action_id"] for one in jobs.get(job, json=True)["job_actions"]], [action, plain])
jobs.update_actions(job, f"{plain}==={action}")
same([one["action_id"] for one in jobs.get(job, json=True)["job_actions"]], [plain, action])
jobs.delete_action(f"{plain}==={job}")
same([one["action_id"] for one in jobs.get(job, json=True)["job_actions"]], [action])
same(jobs.start(job)["result"], "success")
same(jobs.get(job, json=True)["job_schedule"]["event"], "start")
same(jobs.stop(job)["result"], "success")
jobs.clone(job)
same([one.description for one in jobs.list()], ["weekly", "weekly_clone"])
same([one.description for one in jobs.list(search="CLONE")], ["weekly_clone"])
clone = jobs.list(search="weekly_clone")[0].job_id
same(jobs.get(clone, json=True)["job_schedule"]["event"], "stop")
same(jobs.actions("never"), [])
done("jobs")

# Sessions: made with jobs in it, edited, taken apart.
sessions = api.Session(request)
form = {
    "description": "together",
    "session_id": "",
    "schedule_start_date": "",
    "schedule_end_date": "",
    "interval_unit": "days",
    "interval_value": 2,
    "schedule_interval": "2 days",
    "jobs": [job],
}
session = sessions.create(dict(form))
same(sessions.jobs(session), [])
sessions.add_job(session, job)
sessions.add_job(session, clone)
same(
    {(one.job_id, one.client_id, one.result) for one in sessions.jobs(session)},
    {(job, second.client_id, "pending"), (clone, second.client_id, "pending")},
)
same(jobs.get(job, json=True)["job_schedule"]["schedule_interval"], "2 days")
sessions.update(
    {**form, "session_id": session, "description": "apart", "schedule_interval": "3 days"}, session
)
same(
    [(one.description, one.schedule_interval, one.status) for one in sessions.list(limit=100)],
    [("apart", "3 days", "active")],
)
same(sorted(sessions.list()[0].jobs), sorted([job, clone]))
same(jobs.get(clone, json=True)["job_schedule"]["schedule_interval"], "3 days")
same(sessions.get(session).description, "apart")
sessions.remove_job(session, clone)
same([one.job_id for one in sessions.jobs(session)], [job])
same(jobs.get(clone, json=True)["session_id"], "")
sessions.remove_job(session, job)
sessions.delete(session)
same(sessions.list(), [])
done("sessions")

# Backups: the table, the page of one, which is looked for by its id, and a restore to another node.
backups = api.Backup(request)
listed = backups.list()
same(
    [(one.backup_name, one.hostname, one.level, one.status) for one in listed],
    [("my backup", "node2", 2, "available")],
)
same(len(backups.list(search="node2")), 1)
same(backups.list(search="node9"), [])
one = backups.get(listed[0].backup_id)
same((one.backup_id, one.time_stamp), (listed[0].backup_id, 1_800_000_000))
third = clients.list(search="node3")[0]
record = {
    "container": "c",
    "hostname": "node2",
    "backup_name": "plain",
    "time_stamp": 1_800_000_001,
    "storage": "ssh",
    "ssh_host": "h",
    "ssh_key": "",
    "ssh_username": "u",
    "ssh_port": 22,
}
api.client(request).backups.create(record)
one = [found for found in backups.list() if found.backup_name == "plain"][0]
same(
    backups.restore({"backup_id": one.backup_id, "client": third.client_id, "path": "/restored"})[
        "result"
    ],
    "success",
)
restore = jobs.get(jobs.list(search="Restore plain")[0].job_id, json=True)
options = restore["job_actions"][0]["freezer_action"]
same((restore["client_id"], restore["job_schedule"]["event"]), (third.client_id, "start"))
same(
    (options["action"], options["restore_from_host"], options["restore_abs_path"]),
    ("restore", "node2", "/restored"),
)
same(options["restore_from_date"], utils.timestamp_to_iso(1_800_000_001))
done("restores")

for one in jobs.list():
    jobs.delete(one.job_id)
for one in actions.list():
    actions.delete(one.action_id)
for one in backups.list():
    backups.delete(one.backup_id)
for one in clients.list():
    clients.delete(one.client_id)
same([len(kind.list()) for kind in (jobs, actions, backups, clients, sessions)], [0, 0, 0, 0, 0])
done("all gone")
