#!/usr/bin/python3
"""killed.py DIRECTORY ROLE STRIDE [CASE...]: disturbs the changing events of ROLE, reruns them, and compares the machine and
its cluster with those of an undisturbed run. An event is disturbed in four ways:
  killed            all its processes, before each system call that changes something, and in the middle of each write
  cut, names kept   the power is cut there: content that was not synced is lost, files of that name are there
  cut, names lost   the same, and names that were not synced are lost, too
  lost              a file of the state directory is gone before it begins
Every STRIDE-th of these is tried; in a build for coverage none: a killed program writes no figures. DIRECTORY is for
temporary files. To be run in mount, network and process namespaces of its own: see killed.sh."""

import json
import os
import re
import shutil
import stat
import sys
import threading

import cluster as c
import machine as m


def other_parameters(view):
    view["env"]["registry-mirrors"] = "https://other.example.com"
    view["env"]["max_pods"] = "100"
    view["env"]["docker_bip"] = "172.31.0.1/16"


def other_domain(view):
    other_parameters(view)
    view["env"]["api_external_domain"] = "other.example.com"


def node_leaves(view):
    instance, host = sorted(view["hosts"]["node"].items())[-1]
    view["deleting-hosts"] = {"node": {instance: host}}


class Case:
    """EVENT of ROLE, on the machine BASE. CHANGE is what the metadata has otherwise. The machine is kept as LEAVES. After a
    power cut a machine that was in use is started, then the event is repeated; SETTLES is False for those that are not. A
    STATUS of None is any one, the same each time. API is False where no API server may run."""

    def __init__(self, role, name, event, base=None, change=None, leaves=None, settles=True, status=0, api=True):
        self.role, self.name, self.event, self.base, self.api = role, name, event, base, api
        self.change, self.leaves, self.settles, self.status = change, leaves, settles and base == "start", status


def of_kubelet(role):
    return [
        Case(role, "init", ["init"], leaves="init"),
        Case(role, "start", ["start"], base="init", leaves="start"),
        Case(role, "stop", ["stop"], base="start", leaves="stop", settles=False),
        Case(role, "start again", ["start"], base="stop"),
        Case(role, "reload", ["reload"], base="start", change=other_parameters),
        Case(role, "restart", ["restart"], base="start"),
        Case(role, "prune-images", ["prune-images", '{"max_age_hours": 0}'], base="start"),
        Case(role, "revive", ["revive"], base="broken", settles=False),
    ]


CASES = of_kubelet("master") + of_kubelet("node") + of_kubelet("log") + [
    Case("master", "reload of names", ["reload"], base="start", change=other_domain),
    Case("master", "scale-out --check", ["scale-out", "--check"], base="start"),
    Case("master", "scale-out", ["scale-out"], base="start", change=other_parameters),
    Case("master", "scale-in", ["scale-in"], base="start", change=node_leaves),
    Case("master", "renew-certs", ["renew-certs"], base="start"),
    Case("master", "backup", ["backup", '{"name": "one"}'], base="start", leaves="backup"),
    Case("master", "backup, the oldest leaves", ["backup", '{"name": "two", "keep": 1}'], base="backup"),
    Case("master", "delete_snapshot", ["delete_snapshot", '{"snapshot_id": "one"}'], base="backup"),
    # No API server comes up after it, so this ends at the wait for it: all that is on the disk has been replaced then.
    Case("master", "restore", ["restore", '{"name": "one"}'], base="restorable", settles=False, status=None, api=False),
    Case("master", "compact-etcd", ["compact-etcd"], base="start"),
    Case("master", "reconcile", ["reconcile"], base="start", change=other_parameters),
    Case("master", "destroy", ["destroy"], base="stop"),
    Case("node", "scale-out", ["scale-out"], base="start", change=other_parameters),
    Case("node", "destroy", ["destroy"], base="stop"),
    Case("client", "init", ["init"], leaves="start"),
    Case("client", "reload", ["reload"], base="start", change=other_parameters),
]


def unescape(text):
    return re.sub(rb"%(..)", lambda found: bytes([int(found[1], 16)]), text.encode()).decode("utf-8", "surrogateescape")


class Disk:
    """What `killer --disk` kept of what was synced (tests/lab/killer/disk.h), as a tree that a power cut leaves."""

    def __init__(self, kept, lower):
        self.kept, self.lower, self.root = kept, lower, None
        self.contents, self.directories, self.inodes = {}, {}, {}  # by inode; the last by path
        with open(kept + "/index") as index:
            for line in index:
                kind, *words = line.split()
                if kind == "file":
                    self.contents[words[0]] = words[1:]
                elif kind == "dir":
                    self.directory(words[0], unescape(words[1]).strip("/"))
                else:
                    self.entries[unescape(words[0])] = words[1:]

    def directory(self, inode, path):
        self.entries = self.directories[inode] = {}
        self.inodes[path] = inode
        if path == "":
            self.root = inode
        # What the image has is there, whether or not somebody synced its name.
        parts = path.split("/") if path else []
        for i in range(1, len(parts) + 1):
            above, here = "/".join(parts[:i - 1]), "/".join(parts[:i])
            layers = [layer for layer in self.lower if os.path.isdir(f"{layer}/{here}")]
            if not layers or above not in self.inodes:
                break
            if here not in self.inodes:
                self.inodes[here] = "image:" + here
                self.directories[self.inodes[here]] = {}
            mode = stat.S_IMODE(os.lstat(f"{layers[0]}/{here}").st_mode)
            self.directories[self.inodes[above]][parts[i - 1]] = ["d", self.inodes[here], f"{mode:o}", "0", "0", "-"]

    def write(self, target, live):
        """LIVE, the tree at the moment of the cut: names are as there, and content that was not synced is lost. None:
        what was not synced is lost, names too."""
        if live is None:
            os.makedirs(target)
            self.write_directory(self.root, target)
            return
        m.copy(live, target)
        for directory, _, files in os.walk(live):
            for name in files:
                path = os.path.join(directory, name)
                st = os.lstat(path)
                if stat.S_ISREG(st.st_mode):
                    self.write_content(str(st.st_ino), target + path[len(live):])

    def write_content(self, inode, path):
        kept = self.contents.get(inode)
        with open(path, "wb") as out:
            if kept is not None:
                with open(f"{self.kept}/{kept[3]}", "rb") as content:
                    shutil.copyfileobj(content, out)
        if kept is not None:
            os.chown(path, int(kept[1]), int(kept[2]))
            os.chmod(path, int(kept[0], 8))

    def write_directory(self, inode, target):
        for name, (kind, child, mode, uid, gid, link) in self.directories.get(inode, {}).items():
            path = f"{target}/{name}"
            if kind == "d":
                os.makedirs(path)
                self.write_directory(child, path)
            elif kind == "l":
                os.symlink(unescape(link), path)
                continue
            elif kind == "w":
                os.mknod(path, stat.S_IFCHR, 0)
                continue
            else:
                self.write_content(child, path)
            if kind != "f" or child not in self.contents:
                os.chown(path, int(uid), int(gid))
                os.chmod(path, int(mode, 8))


class Site:
    """One machine, and the cluster it belongs to."""

    def __init__(self, work, role):
        self.work, self.role, self.cluster, self.keys, self.timer = work, role, None, {}, None
        os.makedirs(work)
        m.network()
        m.client_key(work + "/client-key")
        self.started = work + "/started"
        if role != "master":
            self.make_cluster()
        self.machine = self.new_machine(role)
        if role == "client":
            m.put(self.machine.lower + "/root/.ssh/id_rsa", open(work + "/client-key").read(), 0o600)

    def new_machine(self, role):
        machine = m.Machine(f"{self.work}/{role}", role)
        m.put(self.started, f"""#!/bin/sh
case $1 in
kubelet.service) [ ! -d {self.work}/keys ] ||
    exec {m.HERE}/kubelet.py {machine.root} {role}-1 {self.work}/keys {m.IPS['master']} ;;
k8s-metadata-guard.service)
    chroot {machine.root} iptables-restore --noflush /etc/k8s-metadata-guard
    iptables -t mangle -C FORWARD -j K8S-METADATA || iptables -t mangle -I FORWARD -j K8S-METADATA ;;
esac
""", 0o755)
        machine.serve(self.started)
        return machine

    def start_cluster(self, machine):
        """With the keys of the master MACHINE."""
        m.copy(machine.upper + "/data/kubernetes", self.work + "/keys")
        self.cluster = c.Cluster(self.work + "/cluster", self.work + "/keys", m.IPS["master"])
        for role, hosts in m.metadata("master")["hosts"].items():
            for host in hosts.values():
                if role != "client" and (role, host["sid"]) != (self.role, "1"):
                    c.report_node(self.cluster, f"{role}-{host['sid']}")
        self.keys[None] = self.cluster.keys()

    def make_cluster(self):
        master = self.new_machine("master")
        master.publish(m.metadata("master"))
        master.boot()
        run(master, ["init"])
        self.start_cluster(master)
        run(master, ["start"])
        self.cluster.sign_cluster_info()
        m.token = run(master, ["metadata"], quiet=True).strip()
        self.keys[None] = self.cluster.keys()
        master.end()

    def base(self, name):
        return None if name is None else f"{self.machine.work}/base-{name}"

    def end_timer(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer.join()
            self.timer = None

    def begin(self, name):
        self.end_timer()
        self.machine.boot(self.base(name))
        if self.cluster is not None:
            self.cluster.reset(self.keys[name])

    def keep(self, name):
        self.machine.shut()
        self.machine.save(self.base(name))
        if self.cluster is None and self.role == "master":
            self.start_cluster(self.machine)
        self.keys[name] = self.cluster.keys()
        if name == "backup":
            self.make_restorable()
        if name == "start":
            self.break_it()
            if self.role == "master":  # what `backup` measures
                os.makedirs(self.base(name) + "/upper/data/etcd/member/snap", exist_ok=True)
                m.copy(self.work + "/cluster/etcd/member/snap/db", self.base(name) + "/upper/data/etcd/member/snap/db")

    def make_restorable(self):
        """The machine with a backup, and a Docker that lists an API server."""
        base = self.base("restorable")
        m.copy(self.base("backup"), base)
        m.put(base + "/upper/etc/k8s-hooks/hook.conf.d/50-no-api-server.conf", "timeouts { api-s = 1 }\n")
        m.put(base + "/upper/data/etcd/of-before", "")
        m.put(base + "/state/containers/api", json.dumps({"Id": "api", "Created": 1, "ImageID": "sha256:0", "Labels": {
            "io.kubernetes.container.name": "kube-apiserver"}}))
        self.keys["restorable"] = self.keys["backup"]

    def break_it(self):
        """What `revive` heals: Docker and kubelet down, an image gone, and on the master a manifest lost."""
        base = self.base("broken")
        self.machine.save(base)
        for unit in ("docker.service", "kubelet.service"):
            if os.path.exists(f"{base}/state/units/{unit}"):
                m.put(f"{base}/state/units/{unit}", "inactive\n", 0o600)
        if self.role == "master":
            os.remove(base + "/upper/data/kubernetes/manifests/kube-scheduler.yaml")
        self.keys["broken"] = self.keys["start"]

    def described(self):
        self.machine.shut()
        objects = self.cluster.objects() if self.cluster is not None and self.cluster.api is not None else {}
        return m.describe(self.machine.upper), m.describe(self.machine.state), objects

    def end(self):
        self.end_timer()
        self.machine.end()
        if self.cluster is not None:
            self.cluster.end()


def run(machine, event, quiet=False, status=0):
    found, output = machine.event(event, quiet=quiet)
    if found != status:
        raise RuntimeError(f"{machine.role} {event}: status {found}: {output}")
    return output


def power_off(machine):
    for unit in os.listdir(machine.state + "/units"):
        m.put(f"{machine.state}/units/{unit}", "inactive\n", 0o600)


def power_cut(site, names):
    """The disk has what was synced; nothing runs any more. NAMES: those of files were synced."""
    machine = site.machine
    disk, live = Disk(machine.work + "/disk", [machine.lower, ""]), machine.work + "/live"
    machine.shut()
    shutil.rmtree(live, ignore_errors=True)
    os.rename(machine.upper, live)
    disk.write(machine.upper, live if names else None)
    power_off(machine)
    machine.mount()
    if site.role in ("node", "log"):  # what the controller manager sees after 40 s, here after a while
        site.timer = threading.Timer(3, c.report_node, [site.cluster, site.role + "-1", "Unknown", False])
        site.timer.start()


def disturb(site, case, how, number, half):
    machine = site.machine
    kept = machine.work + "/disk"
    shutil.rmtree(kept, ignore_errors=True)
    os.makedirs(kept)
    os.makedirs(machine.state + "/units", exist_ok=True)
    killer = ["--at", str(number)] + (["--half"] if half else [])
    if how != "killed":
        killer += ["--disk", kept, "--upper", machine.upper]
    status, output = machine.event(case.event, killer=killer)
    if status not in (case.status, 137):
        return f"the killed run ended with status {status}: {output}"
    if how != "killed":
        power_cut(site, how == "cut, names kept")
    return ""


def again(machine, case, how):
    """Complaints. What is done again after it was disturbed: see Case."""
    events = [["start"]] if case.settles and how.startswith("cut") else []
    tries = f"{machine.root}/{m.STATE[case.role]}/revive.json"
    if case.name == "revive" and os.path.exists(tries):
        os.remove(tries)  # as if a minute had passed, before which it does not try again
    for event in events + [case.event]:
        status, output = machine.event(event)
        if status != (case.status if event == case.event else 0):
            return [f"{' '.join(event)}: status {status}: {output}"]
    return []


def run_point(site, case, how, point, expected):
    number, half, name = point
    site.begin(case.base)
    complaints = [disturb(site, case, how, number, half)]
    complaints += again(site.machine, case, how)
    for wanted, found in zip(expected, site.described()):
        complaints += m.difference(wanted, found)
    complaints += m.sound_keys(site.machine.upper) + m.sound_backups(site.machine.upper)
    complaints += m.restored(site.machine.upper) if case.name == "restore" else []
    return f"{how} {'in the middle of' if half else 'before'} call {number}, {name}", "\n".join(filter(None, complaints))


def state_files(directory):
    for above, _, names in os.walk(directory):
        yield from (os.path.relpath(os.path.join(above, name), directory) for name in names if name != "lock")


def run_lost(site, case, path, expected):
    """With the file PATH of the state directory gone, the event leaves the same machine but for that directory."""
    state = m.STATE[case.role]
    site.begin(case.base)
    site.machine.shut()
    os.remove(f"{site.machine.upper}/{state}/{path}")
    site.machine.mount()
    complaints = again(site.machine, case, "lost")
    for wanted, found in zip(expected, site.described()):
        without = [{key: what for key, what in tree.items() if not key.startswith(state)} for tree in (wanted, found)]
        complaints += m.difference(*without)
    complaints += m.sound_keys(site.machine.upper)
    if "data/kubernetes/pki/ca.crt" in expected[0]:
        complaints += m.other_cluster(site.base(case.base) + "/upper", site.machine.upper)
    return f"{path} was lost", "\n".join(filter(None, complaints))


def points_of(path):
    for line in open(path):
        number, name, size, what = line.rstrip("\n").split(" ", 3)
        yield int(number), False, f"{name} {what}"
        if int(size) > 1:
            yield int(number), True, f"{name} {what}"


def run_case(site, case, stride, report, silent):
    if case.api:
        try_case(site, case, stride, report, silent)
    elif stride > RARELY:
        report.skip(case, f"half a minute a point: only with a stride of up to {RARELY}")
    else:
        site.cluster.end_api()
        try_case(site, case, stride, report, silent)
        site.cluster.start_api()
        site.cluster.wait()


def after_cut(site, case):
    """What a power cut after the undisturbed event leaves."""
    site.begin(case.base)
    run(site.machine, case.event, status=case.status)
    site.machine.shut()
    power_off(site.machine)
    site.machine.mount()
    complaints = again(site.machine, case, "cut")
    if complaints:
        raise RuntimeError(f"{case.role} {case.name}, undisturbed and then again: {complaints[0]}")
    return site.described()


def undisturbed(site, case):
    """The calls at which it can be killed, and what it leaves."""
    machine = site.machine
    site.begin(case.base)
    status, output = machine.event(case.event, killer=() if m.COVERAGE else ["--points", site.work + "/points"])
    case.status = status if case.status is None else case.status
    if status != case.status:
        raise RuntimeError(f"{case.role} {case.name}, undisturbed: status {status}: {output}")
    points = [] if m.COVERAGE else list(points_of(site.work + "/points"))
    left = site.described()
    if case.leaves is not None:
        if (case.role, case.name) == ("master", "start"):  # AppCenter registers its token
            machine.mount()
            m.token = run(machine, ["metadata"], quiet=True).strip()
        site.keep(case.leaves)
        site.begin(case.leaves)
        left = site.described()
    return points, left


def try_case(site, case, stride, report, silent):
    site.machine.publish(m.metadata(case.role, case.change))
    points, left = undisturbed(site, case)
    if m.COVERAGE:
        if not silent:
            report.ran(case)
        return
    left_by_cut = None
    for how in HOW:
        for point in points:
            if not report.wanted(how, stride):
                continue
            if how != "killed" and left_by_cut is None:
                left_by_cut = after_cut(site, case)
            report(case, how, *run_point(site, case, how, point, left if how == "killed" else left_by_cut))
    if points and not silent and not report.tried_any():
        point = points[len(points) // 2]
        report(case, HOW[0], *run_point(site, case, HOW[0], point, left))
    files = [] if case.base is None else sorted(state_files(f"{site.base(case.base)}/upper/{m.STATE[case.role]}"))
    for path in files:
        if report.wanted(LOST, stride // LOST_MORE_OFTEN or 1):
            report(case, LOST, *run_lost(site, case, path, left))
    if not silent:
        report.end(case, len(points))


RARELY = 100  # a larger stride leaves out what takes half a minute a point
HOW = ["killed", "cut, names kept", "cut, names lost"]
LOST = "state file lost"
LOST_MORE_OFTEN = 20  # there are far fewer of these


class Report:
    """Every STRIDE-th of all points is tried, counted through all events, so that each has its share, and at least one of
    each event. An event of which none was tried has failed."""

    def __init__(self):
        self.seen, self.results, self.failures = 0, 0, 0
        self.all = dict.fromkeys(HOW + [LOST], 0)
        self.forget()

    def forget(self):
        self.tried, self.complaints = dict.fromkeys(HOW + [LOST], 0), []

    def wanted(self, how, stride):
        self.seen += 1
        return self.seen % stride == 0

    def __call__(self, case, how, where, complaint):
        self.tried[how] += 1
        self.all[how] += 1
        if complaint:
            self.complaints.append(f"{where}:\n{complaint}")

    def tried_any(self):
        return any(self.tried.values())

    def skip(self, case, reason):
        print(f"ok - {case.role} {case.name} # SKIP {reason}", flush=True)
        self.results += 1

    def ran(self, case):
        print(f"ok - {case.role} {case.name}, undisturbed", flush=True)
        self.results += 1

    def end(self, case, points):
        counts = ", ".join(f"{how}: {count}" for how, count in self.tried.items())
        if not self.tried_any():
            self.complaints.append("no point was tried")
        print(f"{'not ' if self.complaints else ''}ok - {case.role} {case.name}: {points} points; {counts}", flush=True)
        for complaint in self.complaints:
            print("# " + complaint.replace("\n", "\n# "), flush=True)
        self.results += 1
        self.failures += bool(self.complaints)
        self.forget()

    def close(self):
        print("# tried: " + ", ".join(f"{how}: {count}" for how, count in self.all.items()))
        print(f"1..{self.results}", flush=True)
        return self.failures > 0 or not (m.COVERAGE or any(self.all.values()))


def isolate(work):
    m.mount(None, "/", None, 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE
    m.mount("proc", "/proc", "proc")  # of this process namespace
    m.mount("tmpfs", work, "tmpfs")


def main():
    work, role, stride = sys.argv[1], sys.argv[2], int(sys.argv[3])
    only = sys.argv[4:]
    isolate(work)
    report = Report()
    site = Site(work + "/site", role)
    try:
        for case in CASES:
            if case.role == role and (not only or case.name in only or case.leaves):
                tried = not only or case.name in only
                run_case(site, case, (1 if m.COVERAGE else stride) if tried else 10**9, report, silent=not tried)
    finally:
        site.end()
    sys.exit(report.close())


if __name__ == "__main__":
    main()
