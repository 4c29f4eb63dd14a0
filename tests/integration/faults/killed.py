#!/usr/bin/python3
"""killed.py DIRECTORY ROLE:STRIDE[,ROLE:STRIDE...] [CASE...]: disturbs the changing events of each ROLE, reruns them, and
compares the machine and its cluster with those of an undisturbed run. An event is disturbed in four ways:
  killed            all its processes, before each system call that changes something, and in the middle of each write
  cut, names kept   the power is cut there: content that was not synced is lost, files of that name are there
  cut, names lost   the same, and names that were not synced are lost, too
  lost              a file of the state directory is gone before it begins
Every STRIDE-th of these is tried; in a build for coverage none: a killed program writes no figures. DIRECTORY is for
temporary files. To be run in mount, network and process namespaces of its own: see killed.sh."""

import os
import shutil
import subprocess
import sys
import time
import zlib

import cases
import cluster as c
import machine as m
import sites
from disk import Disk


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
    if site.role in ("node", "log"):  # as the controller manager makes it of a machine that is off for 40 s
        c.report_node(site.cluster, site.role + "-1", "Unknown", False)


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
    machine.settle()
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
    sites.run(site.machine, case.event, status=case.status)
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
            m.token = sites.run(machine, ["metadata"], quiet=True).strip()
        site.keep(case.leaves)
        site.begin(case.leaves)
        left = site.described()
    return points, left


def try_unchanged(site, case, report):
    """The event has nothing that could be disturbed."""
    def seen():
        trees = site.described()
        site.machine.mount()
        return [{key: what for key, what in tree.items() if not key.endswith(("/runs.json", "/metadata.json"))} for tree in trees]
    site.begin(case.base)
    before = seen()
    status, output = site.machine.event(case.event)
    complaints = [f"status {status}: {output}"] if case.status not in (None, status) else []
    for wanted, found in zip(before, seen()):
        complaints += m.difference(wanted, found)
    report.ran_unchanged(case, status, complaints)


def try_case(site, case, stride, report, silent):
    report.begin(case)
    site.machine.publish(m.metadata(case.role, case.change))
    site.with_logs = case.logs
    if case.unchanged is not None:
        if not silent:
            try_unchanged(site, case, report)
        return
    points, left = undisturbed(site, case)
    if m.COVERAGE:
        if not silent:
            report.ran(case)
        return
    try_points(site, case, stride, report, points, left)
    if points and not silent and not report.tried_any():
        point = points[len(points) // 2]
        report(case, HOW[0], *run_point(site, case, HOW[0], point, left))
    try_lost(site, case, stride, report, left)
    if not silent:
        report.end(case, len(points))


def try_points(site, case, stride, report, points, left):
    left_by_cut = None
    for how in HOW:
        for point in points:
            if not report.wanted(how, stride):
                continue
            if how != "killed" and left_by_cut is None:
                left_by_cut = after_cut(site, case)
            report(case, how, *run_point(site, case, how, point, left if how == "killed" else left_by_cut))


def try_lost(site, case, stride, report, left):
    files = [] if case.base is None else sorted(state_files(f"{site.base(case.base)}/upper/{m.STATE[case.role]}"))
    for path in files:
        if report.wanted_lost(case, path, stride):
            report(case, LOST, *run_lost(site, case, path, left))


NEVER = 10**9
RARELY = 100  # a larger stride leaves out what takes half a minute a point
HOW = ["killed", "cut, names kept", "cut, names lost"]
LOST = "state file lost"
LOST_MORE_OFTEN = 20  # there are far fewer of these
LOST_UP_TO = 300  # with a larger stride each file is lost before one event


class Report:
    """Every STRIDE-th of an event's points is tried, counted from a number that its name makes, so that two runs try about the
    same, and at least one of each event. An event of which none was tried has failed."""

    def __init__(self):
        self.seen, self.results, self.failures, self.lost = 0, 0, 0, set()
        self.all = dict.fromkeys(HOW + [LOST], 0)
        self.forget()

    def forget(self):
        self.tried, self.complaints, self.began = dict.fromkeys(HOW + [LOST], 0), [], time.monotonic()

    def begin(self, case):
        self.seen = zlib.crc32(f"{case.role} {case.name}".encode())

    def wanted(self, how, stride):
        self.seen += 1
        return self.seen % stride == 0

    def wanted_lost(self, case, path, stride):
        """Each file is lost before one event at least: the first that has it and has lost none yet."""
        first = stride < NEVER and (case.role, path) not in self.lost and not self.tried[LOST]
        if first or (stride <= LOST_UP_TO and self.wanted(LOST, stride // LOST_MORE_OFTEN or 1)):
            self.lost.add((case.role, path))
            return True
        return False

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

    def ran_unchanged(self, case, status, complaints):
        print(f"{'not ' if complaints else ''}ok - {case.role} {case.name}: changes nothing (status {status}): {case.unchanged}",
              flush=True)
        self.conclude(complaints)

    def listed(self, role, missing):
        print(f"{'not ' if missing else ''}ok - {role}: each event that `k8s-{role} --help` lists has a case", flush=True)
        self.conclude([f"none: {', '.join(missing)}"] if missing else [])

    def conclude(self, complaints):
        for complaint in complaints:
            print("# " + complaint.replace("\n", "\n# "), flush=True)
        self.results += 1
        self.failures += bool(complaints)
        self.forget()

    def end(self, case, points):
        counts = ", ".join(f"{how}: {count}" for how, count in self.tried.items())
        if not self.tried_any():
            self.complaints.append("no point was tried")
        print(f"{'not ' if self.complaints else ''}ok - {case.role} {case.name}: {points} points; {counts}; "
              f"{time.monotonic() - self.began:.0f} s", flush=True)
        self.conclude(self.complaints)

    def close(self):
        print("# tried: " + ", ".join(f"{how}: {count}" for how, count in self.all.items()))
        print(f"1..{self.results}", flush=True)
        return self.failures > 0 or not (m.COVERAGE or any(self.all.values()))


def events_of(role):
    """As its program lists them; True for those with a pre-check."""
    text = subprocess.check_output([f"{m.BUILD}/bin/k8s-{role}", "--help"], text=True)
    return {line.split()[0]: "--check" in line for line in text.split("\nEvents:\n")[1].split("\n\n")[0].splitlines()}


def try_role(site, role, stride, only, report):
    site.enter(role)
    report.listed(role, cases.missing(role, events_of(role)))
    for case in cases.of(role):
        if not only or case.name in only or case.leaves:
            tried = not only or case.name in only
            run_case(site, case, (1 if m.COVERAGE else stride) if tried else NEVER, report, silent=not tried)


def main():
    work, roles, only = sys.argv[1], sites.arguments(sys.argv[2]), sys.argv[3:]
    sites.isolate(work)
    report = Report()
    site = sites.Site(work + "/site", [role for role, _ in roles])
    try:
        for role, stride in roles:
            try_role(site, role, stride, only, report)
    finally:
        site.end()
    sys.exit(report.close())


if __name__ == "__main__":
    main()
