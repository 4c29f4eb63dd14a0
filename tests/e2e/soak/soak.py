#!/usr/bin/python3
"""Changes and breaks a lab's cluster at random for SOAK_SECONDS, and holds every verdict against what is known to be true.

The seed is always the same, so that a run can be repeated; SOAK_SEED takes another, "random" any. First each change is made once,
and each fault once on each of its machines: what that brings once, such as the file of a first password, is no growth. Then a round
is a change or a fault, what check has to say of it, the reload or what heals, and all quiet again. From the first round to the last
nothing may grow: descriptors and processes of the machines, peak memory of the events, files in the directories that the hooks
write. Every third round is followed by a quiet one, whose lines in the journal are counted. In the end the cluster has its first
values again.
"""
import concurrent.futures
import json
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request

LAB = os.environ["LAB"]
SECONDS = int(os.environ.get("SOAK_SECONDS") or 180)
SEED = os.environ.get("SOAK_SEED") or "1"
SEED = random.SystemRandom().randrange(1 << 32) if SEED == "random" else int(SEED)
OPT = "/opt/kubernetes/bin/k8s-"
# where the hooks write: of /run without what there is for each container, since pods come to a machine and leave it
FILES = ("find /data/kubernetes /var/lib/k8s-hooks /etc /run /tmp /var/tmp /root /opt/kubernetes /data/backup -xdev -type f "
         "-not -path '*/audit/*' -not -path '/run/containerd/*' -not -path '/run/docker/*' -not -path '/run/systemd/*'")

QUIET_LINES = 60  # of all machines: a reload and a reconcile each say in a line or two what they found
STARTED = time.time()
choice = random.Random(SEED)
with open(f"{LAB}/lab.json", encoding="utf-8") as state:
    lab = json.load(state)


class Wrong(Exception):
    pass


class Machine:
    def __init__(self, entry):
        self.name, self.role, self.leader = entry["name"], entry["role"], str(entry["leader"][0])
        self.hook = OPT + ("node" if self.role == "ssd_node" else self.role)

    def run(self, command, seconds=600):
        return subprocess.run(["nsenter", "-t", self.leader, "-a", "--", "sh", "-c", command], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=seconds, check=False)

    def must(self, command, seconds=600):
        done = self.run(command, seconds)
        if done.returncode != 0:
            raise Wrong(f"{self.name}: {command}: status {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def event(self, words, status=0, seconds=900):
        done = self.run(f"{self.hook} {words}", seconds)
        if done.returncode != status:
            raise Wrong(f"{self.name}: {words}: status {done.returncode}, expected {status}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def failing(self):
        """Names of the checks that fail; the exit status has to fit them."""
        done = self.run(f"{self.hook} check --json", 60)
        checks = json.loads(done.stdout)["checks"]
        names = {check["name"] for check in checks if check["result"] == "fails"}
        if done.returncode != (24 if names else 0):
            raise Wrong(f"{self.name}: check: status {done.returncode} with {names or 'nothing'} failing: {done.stderr[-500:]}")
        return names

    def expect(self, wanted, allowed=(), seconds=300):
        """Until exactly WANTED fails, what is ALLOWED beside."""
        end = time.monotonic() + seconds
        while True:
            names = self.failing()
            if set(wanted) <= names <= set(wanted) | set(allowed):
                return
            if time.monotonic() > end:
                raise Wrong(f"{self.name}: {sorted(names)} fail, expected {sorted(wanted)}")
            time.sleep(0.5)


machines = [Machine(entry) for entry in lab["machines"]]
kubelets = [m for m in machines if m.role != "client"]
master = next(m for m in machines if m.role == "master")
client = next(m for m in machines if m.role == "client")


def everywhere(work):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(work, machines))


ENV = f"http://192.168.100.1:9611/v1/data/clusters/{lab['cluster_id']}/env"


def publish(values):
    request = urllib.request.Request(ENV, method="PUT", data=json.dumps(values).encode(),
                                     headers={"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


def forget_tries(machine):
    """As if the last heal had been a long time ago: the same heal is not repeated at once."""
    machine.must("f=/data/kubernetes/hooks/revive.json; [ ! -e $f ] || sed -i 's/\"last\":[0-9]*/\"last\":1/g' $f")


def heal(machine, seconds=300):
    """Until revive ends well: it has 28 s, in which a loaded machine may not start a unit."""
    end = time.monotonic() + seconds
    while True:
        done = machine.run(f"{machine.hook} revive")
        if done.returncode == 0:
            return
        if time.monotonic() > end:
            raise Wrong(f"{machine.name}: revive: status {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        time.sleep(1)


# changes: each returns what shows its effect, where it acts, after the reload

def change_days():
    days = choice.randint(2, 30)
    publish({"keep_log_days": str(days)})
    return lambda: master.must(f"systemctl show -P Description k8s-prune-logs.service | grep -w 'than {days} days'")


def change_registries():
    names = " ".join(f"192.168.{choice.randint(1, 99)}.{choice.randint(1, 250)}:5000" for _ in range(choice.randint(0, 3)))
    publish({"insecure-registries": names})
    return lambda: [
        m.must(f"docker info 2>/dev/null | grep -wF {name}") for m in kubelets for name in names.split()]


def change_password():
    word = "".join(choice.choice("abcdefgh123456789") for _ in range(12))
    publish({"private-registry": "192.168.100.77:5000", "dockerhub_username": "somebody", "dockerhub_password": word})
    return lambda: [m.must(f"grep -wF {word} /var/lib/kubelet/config.json") for m in kubelets]


def wrong_value():
    publish({"max_pods": "61"})
    for status in everywhere(lambda m: m.run(f"{m.hook} reload").returncode):
        if status != 13:
            raise Wrong(f"max_pods 61: a reload ends with status {status}, expected 13")
    publish({"max_pods": "60"})
    return lambda: None


# faults: on a machine; each returns when all is well again

def fault_guard(machine):
    forget_tries(machine)
    machine.must("iptables -t mangle -F FORWARD")
    machine.expect({"metadata-guard"})
    heal(machine)
    machine.expect(set())


def fault_kubelet(machine):
    forget_tries(machine)
    machine.must("systemctl stop kubelet.service")
    machine.expect({"kubelet", "kubelet-healthz"}, {"node-ready"})
    heal(machine)
    machine.expect(set())


def fault_file(machine):
    path = choice.choice(["/etc/docker/daemon.json", "/etc/hosts", "/var/lib/kubelet/config.json"])
    before = machine.must(f"cat {path}")
    machine.must(f"echo damaged >{path}")
    machine.event("reconcile")
    if machine.must(f"cat {path}") != before:
        raise Wrong(f"{machine.name}: reconcile leaves {path} damaged")
    machine.expect(set())


def fault_metadata_away(machine):
    rule = "OUTPUT -d 192.168.100.1 -p tcp --dport 80 -j REJECT --reject-with tcp-reset"
    machine.must(f"iptables -I {rule}")
    try:
        machine.expect(set())
        status = machine.run(f"{machine.hook} monitor").returncode
        if status != 0:
            raise Wrong(f"{machine.name}: monitor without the metadata server: status {status}")
    finally:
        machine.must(f"iptables -D {rule}")
    machine.event("reload")


def fault_killed(machine):
    machine.run(f"timeout -s KILL 0.{choice.randint(1, 9)} {machine.hook} reload --force")
    machine.event("reload --force")
    machine.expect(set())


def fault_deleted(machine):
    kind, namespace, name = choice.choice([("daemonset", "kube-system", "fluent-bit"), ("service", "kube-system", "kibana-logging"),
                                           ("deployment", "kube-system", "metrics-server"), ("configmap", "kube-system", "prometheus")])
    exists = client.run(f"kubectl -n {namespace} get {kind} {name}").returncode == 0
    client.must(f"kubectl -n {namespace} delete {kind} {name} --ignore-not-found --wait=true")
    master.event("reconcile")
    if exists:
        client.must(f"kubectl -n {namespace} get {kind} {name}")
    machine.expect(set())


def fault_state(machine):
    directory = "/data/kubernetes/hooks" if machine.role != "client" else "/var/lib/k8s-hooks"
    machine.must(f"for f in runs.json revive.json cloud.json; do [ ! -e {directory}/$f ] || echo '{{\"half' >{directory}/$f; done")
    machine.event("reload")
    machine.event("status")
    machine.expect(set())


CHANGES = [change_days, change_registries, change_password, wrong_value]
FAULTS = [(fault_guard, kubelets), (fault_kubelet, [m for m in kubelets if m.role != "master"]), (fault_file, kubelets),
          (fault_metadata_away, machines), (fault_killed, machines), (fault_deleted, machines), (fault_state, machines)]


def quiet():
    """Nothing is wrong and nothing changes: all say so."""
    def one(machine):
        machine.expect(set())
        if machine.role != "client":
            json.loads(machine.event("monitor"))
        machine.event("reload")
        machine.event("reconcile")
    everywhere(one)


def journal(machine):
    return int(machine.must("journalctl -b -o cat SYSLOG_IDENTIFIER=k8s-hooks | wc -l"))


def figures(machine):
    """What must not grow, and by how much a round it would have to, to count."""
    count = lambda command: int(machine.must(command).split()[0])
    runs = json.loads(machine.must(f"{machine.hook} status --json"))
    runs = runs if isinstance(runs, list) else runs["runs"]
    return {
        "descriptors of systemd": (count("ls /proc/1/fd | wc -l"), 0.5),
        "sockets of Docker and the kubelet": (count(
            "for p in $(pidof dockerd) $(pidof kubelet); do ls -l /proc/$p/fd; done | grep -c socket: || :"), 0.5),
        "processes of the hooks": (count(f"pgrep -fc '^{OPT}|^k8s-' || :"), 0.1),
        "zombies": (count("ps -eo stat= | grep -c ^Z || :"), 0.1),
        "files": (count(f"{FILES} | wc -l"), 0.5),
        "KiB of files": (count(f"{FILES} -printf '%s\\n' | awk '{{ s += $1 }} END {{ print int(s / 1024) }}'"), 4),
        "KiB of memory at an event's peak": (max(run.get("peak_kib", 0) for run in runs), 100),
    }


def grows(series, a_round):
    """When each third has a higher median than the one before, and of the slopes between any two rounds seven of ten are above
    A_ROUND: a step up, however high, is no growth, and so is what goes up and down."""
    third = len(series) // 3
    first, middle, last = (statistics.median(part) for part in (series[:third], series[third:-third], series[-third:]))
    slopes = sorted((b - a) / distance for distance in range(1, len(series)) for a, b in zip(series, series[distance:]))
    return first < middle < last and slopes[len(slopes) * 3 // 10] > a_round


def make(work, *arguments):
    print(f"{time.time() - STARTED:6.1f} s: {work.__name__} {' '.join(m.name for m in arguments)}", flush=True)
    effect = work(*arguments)
    if not arguments:
        everywhere(lambda m: m.event("reload"))
        effect()


def warm_up():
    """Machines side by side, so that who draws what is not the same each time; the rounds' draws are."""
    state = choice.getstate()
    for work in CHANGES:
        make(work)
    for work, where in FAULTS:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda machine: make(work, machine), where[:1] if work == fault_deleted else where))
    choice.setstate(state)
    quiet()


def rounds():
    """Figures of each round, lines of each quiet one, and how often what was done."""
    done, history, lines = {"faults": 0, "changes": 0}, [], []
    while time.time() - STARTED < SECONDS or len(history) < 9:
        if choice.random() < 0.35:
            kind, work, arguments = "changes", choice.choice(CHANGES), ()
        else:
            kind, (work, where) = "faults", choice.choice(FAULTS)
            arguments = (choice.choice(where),)
        make(work, *arguments)
        done[kind] += 1
        quiet()
        if len(history) % 3 == 0:
            before = everywhere(journal)
            quiet()
            lines.append(sum(everywhere(journal)) - sum(before))
        history.append({m.name: figure for m, figure in zip(machines, everywhere(figures))})
    return history, lines, done


def judge(history, lines):
    """Prints all figures, those that grow last; True when there are any."""
    grown = []
    for machine in machines:
        for name, (_, a_round) in history[0][machine.name].items():
            series = [figure[machine.name][name][0] for figure in history]
            if grows(series, a_round):
                grown.append(f"{machine.name}: {name}: GROWS: {series}")
                if "files" in name:
                    grown.append(machine.must(f"{FILES} -newermt @{STARTED:.0f} | head -50"))
            else:
                print(f"{machine.name}: {name}: {series[0]} at first, {series[-1]} at last, {min(series)} to {max(series)}")
    print(f"lines in the journal that a quiet round leaves: {lines}")
    if max(lines) > QUIET_LINES:
        grown.append(f"more than {QUIET_LINES} lines in the journal")
    print(*grown, sep="\n")
    return bool(grown)


def main():
    print(f"seed {SEED}", flush=True)
    quiet()
    warm_up()
    began = time.time()
    history, lines, done = rounds()
    wrong = judge(history, lines)
    publish(lab["env"])
    quiet()
    print(f"{len(history)} rounds in {time.time() - began:.0f} s, {done['faults']} faults, {done['changes']} changes, seed {SEED}; "
          f"{time.time() - STARTED:.0f} s in all")
    return 1 if wrong else 0


try:
    sys.exit(main())
except Wrong as wrong:
    print(f"seed {SEED}: {wrong}")
    sys.exit(1)
