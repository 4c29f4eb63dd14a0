"""Every event with --dry-run: it changes nothing on the machine, of what runs there, in the cluster and in Elasticsearch, or it
is refused."""

import hashlib
import os
import stat

import killed as k
import cases
import machine as m

ARGUMENTS = {"backup": ['{"name": "two", "keep": 1}'], "restore": ['{"name": "one"}'], "delete_snapshot": ['{"snapshot_id": "one"}'],
             "prune-images": ['{"max_age_hours": 0}'], "tab": ["nodes"]}
# machines that are there beside the one in use, and what is run on them
OTHERS = {None: ["init", "start", "reload", "render"], "stop": ["start", "destroy"], "new image": ["upgrade", "reconcile"],
          "broken": ["revive"]}


def contents(path, st):
    if stat.S_ISLNK(st.st_mode):
        return os.readlink(path)
    if not stat.S_ISREG(st.st_mode):
        return ""
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def snapshot(directories):
    """PATH: all that a change of it, or of a file in it, would change."""
    tree = {}
    for top in directories:
        for directory, names, files in os.walk(top):
            for path in [directory] + [os.path.join(directory, name) for name in names + files]:
                st = os.lstat(path)
                tree[path] = " ".join(map(str, (oct(st.st_mode), st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ino,
                                                contents(path, st))))
    return tree


def commands(role):
    for event, has_check in k.events_of(role).items():
        if event == "admit":  # answers a request on a socket
            continue
        yield [event] + ARGUMENTS.get(event, [])
        if has_check:
            yield [event, "--check"]


def run_one(site, argv, before):
    """Its status, complaints, and what is there after it."""
    machine = site.machine
    status, output = machine.event(argv + ["--dry-run"])
    complaints = [f"status {status}: {output}"] if status in (1, 124) or status < 0 else []
    after = snapshot(places(machine))
    complaints += m.difference(before, after)
    return status, [f"{' '.join(argv)} --dry-run: {complaint}" for complaint in complaints], after


def places(machine):
    return [machine.upper, machine.state, machine.run, machine.root + "/tmp"]


def try_machine(site, base, events, statuses):
    """Complaints about EVENTS on one machine: none of them changes it, so it is made once. STATUSES gets the last ones."""
    site.begin(base)
    wanted = site.cluster.objects(), site.logs_kept()
    before = snapshot(places(site.machine))
    complaints = []
    for argv in events:
        statuses[" ".join(argv)], more, before = run_one(site, argv, before)
        complaints += more
    for expected, found in zip(wanted, (site.cluster.objects(), site.logs_kept())):
        complaints += m.difference(expected, found)
    return complaints


def try_role(site):
    """Complaints, and the status of each event. The metadata has changed, so that all have something to do."""
    role, statuses = site.role, {}
    site.machine.publish(m.metadata(role, cases.other_parameters))
    site.with_logs = True
    lists = {base: [argv for argv in commands(role) if argv[0] in events] for base, events in OTHERS.items()
             if base is None or os.path.exists(site.base(base))}
    lists["backup" if role == "master" else "start"] = list(commands(role))
    complaints = [line for base, events in lists.items() for line in try_machine(site, base, events, statuses)]
    if role == "master":  # where there is something to delete
        site.machine.publish(m.metadata(role, cases.es_server))
        complaints += try_machine(site, "start", [["prune-logs"]], statuses)
    site.with_logs = False
    return complaints, statuses
