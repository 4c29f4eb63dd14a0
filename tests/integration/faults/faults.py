#!/usr/bin/python3
"""faults.py DIRECTORY ROLE:STRIDE[,ROLE:STRIDE...]: every event of ROLE while something that it talks to does not do its work.
It must end within its deadline, with a status of the table and a message that names a remedy, and a rerun after the fault must
end well. Every STRIDE-th pair is tried; a table shows status and seconds. Before that, every event with --dry-run. To be run
as killed.py is: see faults.sh."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import cases
import dry_run
import killed as k
import machine as m
import sites

EVENT_S = 15  # in hook.conf; what an event may take beyond it, on a loaded machine: a program gets 5 s to end after SIGTERM
SLACK_S = 60
WORKS_S = 240  # of one that must work in spite of the fault, which takes a loaded machine longer than an error does
OWN_DEADLINE_S = {"check": 5, "monitor": 1, "tab": 9, "metadata": 60, "facts": 60, "status": 10, "render": 60}
STOP_S = 40  # it waits for Docker's list of containers for 20 s, and goes on


PROXY_PORT = 6999  # where connections to a server come that another one stands for
MARK = 1  # of connections that do not
DRIP_S = 0.2


class Impostor:
    """Answers a port: with nothing at all, or with what no client can use."""

    def __init__(self, ip, port, text):
        self.text, self.held = text, []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((ip, port))
        self.listener.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.take(connection)

    def take(self, connection):
        if self.text is None:
            self.held.append(connection)
            return
        try:
            connection.settimeout(2)
            connection.recv(65536)
            connection.sendall(self.text)
            connection.close()
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.held:
            end(connection)


def end(connection):
    """Also where a thread waits for it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class Dripping(Impostor):
    """Passes connections on to the server at TO, and its answers back byte by byte: none is whole before a deadline."""

    def __init__(self, ip, port, to):
        self.to = to
        super().__init__(ip, port, None)

    def take(self, connection):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        server.connect(self.to)
        self.held += [connection, server]
        for target in (self.pass_on, self.drip):
            threading.Thread(target=target, args=(connection, server), daemon=True).start()

    @staticmethod
    def pass_on(client, server):
        try:
            while data := client.recv(65536):
                server.sendall(data)
        except OSError:
            pass
        end(server)

    @staticmethod
    def drip(client, server):
        try:
            while data := server.recv(65536):
                for byte in data:
                    client.sendall(bytes([byte]))
                    time.sleep(DRIP_S)
        except OSError:
            pass
        end(client)


NONSENSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"a\":[\xff\x00\x01<html"


class Fault:
    """NAME as the table has it. `begin` makes it on a site, `end` takes it away; `environment` is the event's."""

    environment = {}

    def __init__(self, name):
        self.name = name

    def begin(self, site):
        pass

    def end(self, site):
        pass


class Nothing(Fault):
    pass


class StandinFault(Fault):
    """Of systemd, docker, kubelet or components: see tests/lab/standin/standin.h."""

    def begin(self, site):
        m.put(site.machine.state + "/faults", self.name + "\n")

    def end(self, site):
        os.remove(site.machine.state + "/faults")


class NoSystemd(Fault):
    def begin(self, site):
        os.rename(site.machine.run + "/systemd", site.machine.run + "/away")

    def end(self, site):
        os.rename(site.machine.run + "/away", site.machine.run + "/systemd")


class Stopped(Fault):
    """A server that takes connections and does nothing more."""

    def __init__(self, name, server):
        super().__init__(name)
        self.server = server

    def begin(self, site):
        self.server(site).send_signal(signal.SIGSTOP)

    def end(self, site):
        self.server(site).send_signal(signal.SIGCONT)


class Redirected(Fault):
    """Connections to PORT are refused, or come to an impostor, or to one that drips what the server SLOW(site) answers."""

    def __init__(self, name, port, text=None, refused=False, slow=None):
        super().__init__(name)
        self.port, self.text, self.refused, self.slow = port, text, refused, slow

    def rule(self, site, verb):
        to = ["-j", "REJECT", "--reject-with", "tcp-reset"] if self.refused else ["-j", "REDIRECT", "--to-ports", str(PROXY_PORT)]
        table = "filter" if self.refused else "nat"
        subprocess.run(["iptables", "-w", "-t", table, verb, "OUTPUT", "-p", "tcp", "-m", "mark", "!", "--mark", str(MARK),
                        "--dport", str(self.port)] + to, check=True)

    def begin(self, site):
        self.rule(site, "-I")
        self.impostor = None
        if self.slow is not None:
            self.impostor = Dripping("0.0.0.0", PROXY_PORT, (self.slow(site), self.port))
        elif not self.refused:
            self.impostor = Impostor("0.0.0.0", PROXY_PORT, self.text)

    def end(self, site):
        self.rule(site, "-D")
        if self.impostor is not None:
            self.impostor.close()


class Program(Fault):
    """In the place of a program: one that hangs, fails, or prints what makes no sense."""

    SCRIPTS = {"hangs": "exec sleep 1000", "fails": "echo 'it is broken' >&2\nexit 1",
               "prints nonsense": r"printf '\377\001<?xml {[\n'", "ends by a signal": "kill -SEGV $$"}

    def __init__(self, program, how):
        super().__init__(f"{program} {how}")
        self.path, self.how = f"/opt/kubernetes/bin/{program}", how

    def begin(self, site):
        m.put(site.machine.root + self.path, f"#!/bin/sh\n{self.SCRIPTS[self.how]}\n", 0o755)

    def end(self, site):
        os.remove(site.machine.root + self.path)


class Data(Fault):
    """/data on a volume of its own that is full, read-only, or not mounted."""

    def begin(self, site):
        data = site.machine.root + "/data"
        size = subprocess.run(["du", "-sm", data], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]
        m.mount("tmpfs", data, "tmpfs", 0, f"size={int(size) + 2}m,mode=755")
        if self.name != "/data missing":
            m.copy(site.machine.upper + "/data/.", data)
        if self.name == "/data full":
            with open(data + "/fill", "wb", buffering=0) as fill:  # a buffer's rest would be written, and refused, at its end
                try:
                    while True:
                        fill.write(bytes(4096))
                except OSError:
                    pass
        if self.name == "/data read-only":
            m.mount(None, data, None, 0x20 | 0x1)  # MS_REMOUNT | MS_RDONLY

    def end(self, site):
        m.umount(site.machine.root + "/data")


class Clock(Fault):
    def __init__(self, name, seconds):
        super().__init__(name)
        self.environment = {"LD_PRELOAD": "/opt/clock.so", "CLOCK_OFFSET": str(seconds)}


class NoNames(Fault):
    """What is asked for by name: the cloud API. Nobody answers."""

    def begin(self, site):
        def change(view):
            view["cluster"]["api_server"]["host"] = "api.qingcloud.com"
            site.change(view)
        site.machine.publish(m.metadata(site.role, change))
        m.put(site.machine.root + "/etc/resolv.conf", "nameserver 192.168.0.9\n")

    def end(self, site):
        site.machine.publish(m.metadata(site.role, site.change))


FAULTS = (
    [Stopped("metadata hangs", lambda site: site.machine.metad),
     Redirected("metadata refuses", m.METADATA_PORT, refused=True),
     Redirected("metadata nonsense", m.METADATA_PORT, NONSENSE),
     Redirected("metadata 404", m.METADATA_PORT, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
     Redirected("metadata slow", m.METADATA_PORT, slow=lambda site: m.IPS[site.role]),
     Redirected("cloud API hangs", m.CLOUD_PORT),
     Redirected("cloud API refuses", m.CLOUD_PORT, refused=True),
     Redirected("cloud API nonsense", m.CLOUD_PORT, NONSENSE),
     Stopped("API server hangs", lambda site: site.cluster.api),
     Redirected("API server refuses", 6443, refused=True),
     Redirected("API server nonsense", 6443, NONSENSE),
     Redirected("API server slow", 6443, slow=lambda site: m.IPS["master"]),
     Redirected("Elasticsearch hangs", 9200),
     Redirected("Elasticsearch refuses", 9200, refused=True),
     Redirected("Elasticsearch nonsense", 9200, NONSENSE),
     Redirected("Elasticsearch slow", 9200, slow=lambda site: m.LOGS_IP),
     Redirected("etcd hangs", 2379),
     NoSystemd("systemd away")] +
    [StandinFault(f"{server} {kind}") for server in ("systemd", "docker") for kind in ("hang", "slow", "nonsense", "close")] +
    [StandinFault(f"kubelet {kind}") for kind in ("hang", "close")] + [StandinFault("components hang")] +
    [Program(program, how) for program in ("kubeadm", "kubectl", "docker", "etcdctl", "iptables-save")
     for how in Program.SCRIPTS] +
    [Data("/data full"), Data("/data read-only"), Data("/data missing"), Clock("clock a year ahead", 365 * 86400),
     Clock("clock a year behind", -365 * 86400), NoNames("DNS dead")] +
    # last, so that the part of a test run that came before stays the same; who refuses etcd refuses the API server's connections
    # to it too, which is the API server's fault above
    [Redirected("cloud API slow", m.CLOUD_PORT, slow=lambda site: "127.0.0.1"),
     Redirected("etcd nonsense", 2379, NONSENSE), Redirected("etcd slow", 2379, slow=lambda site: "127.0.0.1")] +
    [StandinFault(f"{server} {kind}") for server, kind in (("kubelet", "slow"), ("kubelet", "nonsense"), ("components", "slow"),
                                                          ("components", "nonsense"), ("components", "close"))])

# what must work all the same: the way down, and what heals (name of the event: beginnings of faults)
MUST_WORK = {
    "stop": ("metadata", "cloud", "API", "Elastic", "etcd", "docker", "kube", "etcdctl", "iptables", "/data", "clock", "DNS",
             "components"),
    "status": ("metadata", "cloud", "API", "Elastic", "etcd", "docker", "kube", "etcdctl", "systemd", "/data f", "/data r",
               "clock", "DNS"),
    "revive, healthy": ("metadata", "/data read-only"),
    "prune-images": ("/data f", "/data r"),
    "restart": ("metadata",),
    "destroy": ("metadata", "/data f", "/data r"),
}
# of these, the ones that every run tries: a lock or a log that cannot be written is no reason to refuse, nor is an answer that
# makes no sense where a cache is good
ALWAYS = {(fault, event) for event in ("stop", "destroy", "prune-images") for fault in ("/data full", "/data read-only")} | {
    ("/data read-only", "revive, healthy"), ("metadata nonsense", "restart"), ("metadata 404", "restart")}
# and those that few events of a role meet
ALWAYS_OF = {"master": {("Elasticsearch slow", "prune-logs"), ("API server slow", "scale-in, one leaves")},
             "node": {("metadata slow", "restart")},
             "log": {("Elasticsearch slow", "check"), ("Elasticsearch slow", "destroy, this one leaves"),
                     ("Elasticsearch hangs", "monitor"), ("API server slow", "start")},
             "client": {("metadata slow", "start"), ("API server slow", "check")}}


class Event:
    def __init__(self, name, argv, base="start", change=None, status=0):
        self.name, self.argv, self.base, self.change, self.status = name, argv, base, change, status


OF_KUBELET = [
    Event("init", ["init"], base=None), Event("start", ["start"], base="init"), Event("start again", ["start"], base="stop"),
    Event("stop", ["stop"]), Event("restart", ["restart"]), Event("upgrade", ["upgrade"], base="new image"),
    Event("reload", ["reload"], change=cases.other_parameters),
    Event("reconcile", ["reconcile"], change=cases.other_parameters), Event("scale-out", ["scale-out"]),
    Event("scale-in", ["scale-in"]), Event("prune-images", ["prune-images"]), Event("revive", ["revive"], base="broken"),
    Event("revive, healthy", ["revive"]),
    Event("check", ["check"]), Event("monitor", ["monitor"]), Event("status", ["status"]), Event("facts", ["facts"]),
    Event("tab", ["tab", "nodes"]), Event("render", ["render", "--diff"]),
    Event("upgrade --check", ["upgrade", "--check"])]
EVENTS = {
    "master": OF_KUBELET + [
        Event("scale-out --check", ["scale-out", "--check"]), Event("scale-in, one leaves", ["scale-in"], change=cases.leaves("node")),
        Event("scale-in --check", ["scale-in", "--check"], change=cases.leaves("node")), Event("renew-certs", ["renew-certs"]),
        Event("backup", ["backup"]), Event("delete_snapshot", ["delete_snapshot", '{"name": "one"}'], base="backup"),
        Event("compact-etcd", ["compact-etcd"]), Event("metadata", ["metadata"]), Event("destroy", ["destroy"], base="stop"),
        Event("prune-logs", ["prune-logs"], change=cases.es_server),
        Event("restore", ["restore"], status=150)],
    "node": OF_KUBELET + [Event("destroy", ["destroy"], base="stop")],
    "log": OF_KUBELET + [Event("destroy", ["destroy"], base="stop"),
                         Event("destroy, this one leaves", ["destroy"], change=cases.this_leaves("log"))],
    "client": [
        Event("init", ["init"], base=None), Event("start", ["start"]), Event("stop", ["stop"]), Event("restart", ["restart"]),
        Event("upgrade", ["upgrade"], change=cases.other_parameters), Event("scale-out", ["scale-out"]),
        Event("scale-in", ["scale-in"]), Event("revive", ["revive"], base="broken"),
        Event("reload", ["reload"], change=cases.other_parameters), Event("reconcile", ["reconcile"]), Event("check", ["check"]),
        Event("revive, healthy", ["revive"]), Event("tab", ["tab", "nodes"]), Event("status", ["status"]),
        Event("monitor", ["monitor"]), Event("facts", ["facts"]), Event("render", ["render", "--diff"])],
}
NOT_TRIED = ["admit"]  # answers the API server alone, and talks to the cloud's for it: tests/e2e/cloud


def statuses():
    rows = json.loads(subprocess.check_output([m.BUILD + "/bin/k8s-hook", "statuses", "--json"], text=True))
    return {row["status"] for row in rows}


def must_work(event, fault):
    return fault.name.startswith(MUST_WORK.get(event.name, ("-",)))


def deadline(event, fault):
    return WORKS_S if must_work(event, fault) else STOP_S if event.argv[0] == "stop" else EVENT_S


def bound(event, fault):
    return OWN_DEADLINE_S.get(event.argv[0], deadline(event, fault)) + SLACK_S


def time_limits(event, fault):
    """Of hook.conf, and of the metadata in ms: where the event must work they are as on a real machine, but for what is waited
    for in vain."""
    works = must_work(event, fault)
    unit, api, token = (60, 60, 60) if works else (6, 6, 3)
    metadata = 60000 if works and not fault.name.startswith("metadata") else 4000
    return (f"timeouts {{ event-s = {deadline(event, fault)} unit-s = {unit} api-s = {api} token-s = {token} drain-s = 5 }}\n",
            metadata)


def prepare(site, event):
    def change(view):
        if event.change is not None:
            event.change(view)
        if event.base is None and site.role == "master":  # it has published nothing yet
            for host in [view["host"], *view["hosts"]["master"].values()]:
                host.pop("token", None)
    site.change = change
    site.machine.publish(m.metadata(site.role, change))
    site.with_logs = event.change is cases.es_server
    site.begin(event.base)


def complaints_of(site, event, fault, table):
    """Status and seconds go to TABLE."""
    prepare(site, event)
    site.machine.configure(*time_limits(event, fault), site.machine.root)
    fault.begin(site)
    began = time.monotonic()
    try:
        status, output = site.machine.event(event.argv, seconds=bound(event, fault), environment=fault.environment)
    finally:
        seconds = time.monotonic() - began
        fault.end(site)
    table[fault.name, event.name] = f"{status}/{seconds:.0f}"
    if status == 124:
        return f"did not end in {bound(event, fault)} s: {output}"
    if status not in STATUSES or status == 1:
        return f"status {status}: {output}"
    if status != 0 and f"exit status {status}" not in output:
        return f"status {status}, and no remedy is printed: {output}"
    if must_work(event, fault) and status != event.status:
        return f"status {status}, and it should have worked: {output}"
    site.machine.configure(directory=site.machine.root)
    if event.base == "broken":  # before a minute has passed, it does not try again
        subprocess.run(["rm", "-f", f"{site.machine.root}/{m.STATE[site.role]}/revive.json"], check=True)
    status, output = site.machine.event(event.argv)
    return "" if status == event.status else f"afterwards: status {status}: {output}"


def print_table(events, table):
    rows = [fault.name for fault in FAULTS if any((fault.name, event.name) in table for event in events)]
    for row in rows:
        found = [f"{event.name} {table[row, event.name]}" for event in events if (row, event.name) in table]
        print(f"# {row:24} {', '.join(found)}")


def bases(site, role):
    """The machines that events begin with, made by events that nothing disturbs."""
    quiet = k.Report()
    for case in cases.of(role):
        if case.leaves is not None:
            k.run_case(site, case, k.NEVER, quiet, silent=True)


class Results:
    def __init__(self):
        self.count, self.failures = 0, 0

    def __call__(self, name, complaints):
        self.count += 1
        self.failures += bool(complaints)
        print(f"{'not ' if complaints else ''}ok - {name}")
        for complaint in complaints:
            print("# " + complaint.replace("\n", "\n# "), flush=True)


def try_dry_runs(site, role, results):
    complaints, statuses_of = dry_run.try_role(site)
    results(f"{role}: each of {len(statuses_of)} events changes nothing with --dry-run", complaints)
    print("# status " + ", ".join(f"{event} {status}" for event, status in statuses_of.items()))


def try_role(site, role, stride, results):
    table, seen = {}, 0
    site.enter(role)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", site.machine.lower + "/opt/clock.so", m.HERE + "/clock.c"], check=True)
    tried = {event.argv[0] for event in EVENTS[role]} | set(NOT_TRIED)
    results(f"{role}: each event that `k8s-{role} --help` lists is tried", sorted(set(k.events_of(role)) - tried))
    bases(site, role)
    try_dry_runs(site, role, results)
    for fault in FAULTS:
        bad = []
        for event in EVENTS[role]:
            seen += 1
            if seen % stride == 0 or (fault.name, event.name) in ALWAYS | ALWAYS_OF[role]:
                complaint = complaints_of(site, event, fault, table)
                bad += [f"{event.name}: {complaint}"] if complaint else []
        if any(row == fault.name for row, _ in table):
            results(f"{role}: {fault.name}", bad)
    print(f"# {role}: status/seconds")
    print_table(EVENTS[role], table)


def main():
    work, roles = sys.argv[1], sites.arguments(sys.argv[2])
    sites.isolate(work)
    site, results = sites.Site(work + "/site", [role for role, _ in roles]), Results()
    try:
        for role, stride in roles:
            try_role(site, role, stride, results)
    finally:
        site.end()
    print(f"1..{results.count}")
    return results.failures > 0


STATUSES = statuses()
if __name__ == "__main__":
    sys.exit(main())
