"""A cluster, and a machine of it that killed.py and faults.py do things to."""

import json
import os
import shutil
import subprocess
import time
import urllib.request

import cluster as c
import machine as m

LOGS = "http://192.168.0.2:9200"
EXPIRED = "logstash-2020.01.01"


class Site:
    """One machine, and the cluster it belongs to. It is of one role after another (`enter`); a master makes the cluster itself."""

    def __init__(self, work, roles):
        self.work, self.role, self.machine, self.cluster, self.keys, self.with_logs = work, None, None, None, {}, False
        os.makedirs(work)
        m.network()
        m.client_key(work + "/client-key")
        self.started = work + "/started"
        self.start_logs()
        if "master" not in roles:
            self.make_cluster()

    def enter(self, role):
        """From now on the machine is one of ROLE, and has not joined the cluster yet."""
        self.leave()
        self.role, self.keys = role, {}
        if self.cluster is not None:
            self.cluster.reset(self.joined)
            self.cluster.request("DELETE", f"/api/v1/nodes/{role}-1")
            self.keys[None] = self.cluster.keys()
        self.machine = self.new_machine(role)
        if role == "client":
            m.put(self.machine.lower + "/root/.ssh/id_rsa", open(self.work + "/client-key").read(), 0o600)

    def leave(self):
        if self.machine is not None:
            self.machine.end()
            shutil.rmtree(self.machine.work)

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
        """With all nodes in it."""
        master = self.new_machine("master")
        master.publish(m.metadata("master"))
        master.boot()
        run(master, ["init"])
        self.start_cluster(master)
        run(master, ["start"])
        self.cluster.sign_cluster_info()
        m.token = run(master, ["metadata"], quiet=True).strip()
        self.joined = self.cluster.keys()
        master.end()

    def start_logs(self):
        """The lab's Elasticsearch, at the address of its Service and at this host's others."""
        os.makedirs(self.work + "/logs")
        self.logs = subprocess.Popen([m.TREE + "/build/images/elasticsearch"], stdout=subprocess.PIPE, text=True, env={
            "HTTP_PORT": "9200", "PATH_DATA": self.work + "/logs", "NODE_NAME": "log-2"})
        if not self.logs.stdout.readline():
            raise RuntimeError("Elasticsearch does not start")

    def fill_logs(self):
        """An index that is past keep_log_days and one of today, and no template."""
        lines = [json.dumps(line) for name in (EXPIRED, time.strftime("logstash-%Y.%m.%d", time.gmtime()))
                 for line in ({"index": {"_index": name, "_id": "1"}}, {"log": "a line"})]
        ask_logs("POST", "/_bulk", "\n".join(lines) + "\n")
        for name in ask_logs("GET", "/_template"):
            ask_logs("DELETE", "/_template/" + name)

    def logs_kept(self):
        found = {row["index"]: "index" for row in ask_logs("GET", "/_cat/indices?format=json&h=index")}
        return found | {name: json.dumps(what, sort_keys=True) for name, what in ask_logs("GET", "/_template").items()}

    def base(self, name):
        return None if name is None else f"{self.machine.work}/base-{name}"

    def begin(self, name):
        self.machine.boot(self.base(name))
        if self.cluster is not None:
            self.cluster.reset(self.keys[name])
        if self.with_logs:
            self.fill_logs()

    def keep(self, name):
        self.machine.shut()
        self.machine.save(self.base(name))
        if self.cluster is None and self.role == "master":
            self.start_cluster(self.machine)
        self.keys[name] = self.cluster.keys()
        if name == "backup":
            self.make_restorable()
        if name == "stop":
            self.make_new_image()
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

    def make_new_image(self):
        """The machine that was stopped with a new system disk: only what is on /data is left."""
        base = self.base("new image")
        m.copy(self.base("stop"), base)
        for path in (base + "/upper", base + "/state"):
            for entry in set(os.listdir(path)) - {"data", "images"}:
                subprocess.run(["rm", "-rf", f"{path}/{entry}"], check=True)
        self.keys["new image"] = self.keys["stop"]

    def break_it(self):
        """What `revive` heals: Docker and kubelet down, an image gone, on the master a manifest lost, on the client its access."""
        base = self.base("broken")
        self.machine.save(base)
        if self.role == "client":
            os.remove(base + "/upper/root/.kube/config")
        for unit in ("docker.service", "kubelet.service"):
            if os.path.exists(f"{base}/state/units/{unit}"):
                m.put(f"{base}/state/units/{unit}", "inactive\n", 0o600)
        if self.role == "master":
            os.remove(base + "/upper/data/kubernetes/manifests/kube-scheduler.yaml")
        self.keys["broken"] = self.keys["start"]

    def described(self):
        self.machine.shut()
        objects = self.cluster.objects() if self.cluster is not None and self.cluster.api is not None else {}
        if self.with_logs:
            objects.update(self.logs_kept())
        return m.describe(self.machine.upper), m.describe(self.machine.state), objects

    def end(self):
        self.leave()
        self.logs.kill()
        self.logs.wait()
        if self.cluster is not None:
            self.cluster.end()


def ask_logs(method, path, body=None):
    request = urllib.request.Request(LOGS + path, method=method, data=None if body is None else body.encode(),
                                     headers={"Content-Type": "application/x-ndjson"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read())


def run(machine, event, quiet=False, status=0):
    found, output = machine.event(event, quiet=quiet)
    if found != status:
        raise RuntimeError(f"{machine.role} {event}: status {found}: {output}")
    return output


def isolate(work):
    m.mount(None, "/", None, 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE
    m.mount("proc", "/proc", "proc")  # of this process namespace
    m.mount("tmpfs", work, "tmpfs")


def arguments(line):
    """[(ROLE, STRIDE)] of "ROLE:STRIDE,..."."""
    return [(role, int(stride)) for role, stride in (pair.split(":") for pair in line.split(","))]
