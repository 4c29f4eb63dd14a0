"""A user's value cannot leave its place. What is not free text is refused unless it has the required form; free
text arrives in each rendered file as exactly what was given, as parsers that are not ours read it; and no other file
changes. Run by hostile.sh, from the repository's top."""
import base64
import filecmp
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(1, "tests/integration/addons")
import hostile_addons  # noqa: E402
import yaml

BUILD = os.environ.get("BUILD", "build")
ROLES = ["master", "node", "log", "client"]
FREE_TEXT = ["dockerhub_username", "dockerhub_password"]
LISTS = ["pod_vxnets", "registry-mirrors", "insecure-registries"]
with open("tests/golden/clusters/private-registry/metadata.json", encoding="utf-8") as golden:
    CA = json.load(golden)["env"]["registry_ca"]
HOSTILE = [
    '"', "'", "\\", "\\\"", "$(id)", "`id`", "${HOME}", "$HOME", "%s%n%h", "{{secret_access_key}}", "{{{cluster.id}}}",
    "{{#hosts}}", "{{> x}}", "{{=<% %>=}}", "a\nb", "\n", "\r\n", "\t", "\ta", "a: b", "- a", "# a", "a # b", "*a", "&a", "!a",
    "|", ">", "[a]", "{a: b}", "a,b", "}", "]}", '","x":"', "';x", "; a", "a=b", "[Service]\nExecStart=/bin/false",
    "\n---\nkind: Secret", "../../etc/passwd", "é中文😀", "\u2028", "\ufeff", "\u00a0", "\x1b[31m", "\x7f", "\x01", "~",
    "<&>", "a:b:c", " a ", "a" * 5000,
]

results = []


def result(description, complaint=None):
    results.append(complaint is None)
    print(f"{'not ok' if complaint else 'ok'} {len(results)} - {description}")
    for line in (complaint or "").splitlines():
        print("#", line)


class Cluster:
    """One cluster's metadata by role, and what it renders to."""

    def __init__(self, directory):
        self.directory = directory
        self.views = {role: self.view(role) for role in ROLES}
        self.settings = os.path.join(directory, "hook.conf")
        with open(self.settings, "w", encoding="utf-8") as f:
            f.write(f'paths {{ opt = "{os.getcwd()}/tests/golden/opt" }}\n')

    @staticmethod
    def view(role):
        out = subprocess.run([f"{BUILD}/lab/cluster-view", "three-logs", role], check=True, capture_output=True)
        return json.loads(out.stdout)

    def metadata(self, role, env):
        path = os.path.join(self.directory, "metadata.json")
        view = dict(self.views[role], env=self.views[role]["env"] | env)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(view, f)
        return path

    def check(self, env):
        return subprocess.run([f"{BUILD}/bin/k8s-hook", "config", "check", "--metadata", self.metadata("master", env)],
                              capture_output=True, check=False)

    def render(self, role, env, name="root"):
        root = os.path.join(self.directory, name)
        shutil.rmtree(root, ignore_errors=True)
        run = subprocess.run([f"{BUILD}/bin/k8s-{role}", "render", "--root", root, "--config", self.settings, "--metadata",
                              self.metadata(role, env)], capture_output=True, check=False)
        return run, root


def files(root):
    return {os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names
            if name != "lock"}


def lists_as_given(key, value, root):
    """Blanks of any kind separate the words of a list; each word must then be there as it was given."""
    words = re.findall(r"[^ \t\r\n]+", value)
    if key == "pod_vxnets":
        return words == []
    with open(os.path.join(root, "etc/docker/daemon.json"), encoding="utf-8") as f:
        return json.load(f)[key] == words


def beside_a_certificate(cluster):
    """The first hostile text that is taken before or after a certificate; blanks are no matter, as they are dropped."""
    for n, hostile in enumerate(text for text in HOSTILE if text.strip(" \t\r\n")):
        value = (CA + hostile, hostile + CA, CA.replace("=", hostile))[n % 3]
        named, complaint = refused(cluster, {"private-registry": "hub", "registry_ca": value})
        if complaint or named != {"registry_ca"}:
            return f"{value!r}: {complaint or 'is accepted'}"
    return None


def refused(cluster, values):
    """The keys of VALUES that are named as wrong, and a complaint about how that is reported."""
    run, root = cluster.render("master", values)
    printed = run.stderr.decode()
    if run.returncode != 13:
        return set(), f"status {run.returncode}: {printed}"
    if any(ord(c) < 32 or ord(c) == 127 for line in printed.split("\n") for c in line):
        return set(), f"the message holds control characters: {printed!r}"
    if files(root):
        return set(), f"{files(root)} were written"
    return {key for key in values if re.search(rf"^ *{re.escape(key)}[ :]", printed, re.M)}, None


def nothing_but(cluster, defaults):
    """By key, the first hostile value that is taken although it is not of the required form."""
    taken = {}
    strict = [key for key in defaults if key not in LISTS]
    for hostile in HOSTILE:
        for form in ("{1}", "{0}{1}", "{1}{0}"):
            values = {key: form.format(defaults[key], hostile) for key in strict}
            named, complaint = refused(cluster, values)
            if complaint:
                return dict.fromkeys(strict, f"{hostile!r}: {complaint}")
            for key in set(strict) - named:
                taken.setdefault(key, f"{values[key]!r} is accepted")
    for key in LISTS:
        for hostile in HOSTILE:
            run, root = cluster.render("master", {key: hostile})
            if run.returncode not in (0, 13) or (run.returncode == 0 and not lists_as_given(key, hostile, root)):
                taken.setdefault(key, f"{hostile!r}: status {run.returncode}: {run.stderr.decode()}")
    return taken


def login_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        (entry,) = json.load(f)["auths"].values()
    if "auth" in entry:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return user, password
    return entry["username"], entry["password"]


def free_text(cluster, role, before, username, password):
    run, root = cluster.render(role, dict(zip(FREE_TEXT, (username, password))))
    if run.returncode != 0:
        return f"{username!r}, {password!r}: {run.stderr.decode()}"
    logins = {"root/.docker/config.json", "var/lib/kubelet/config.json"} & files(root)
    if role != "client" and len(logins) != 2:
        return f"only {logins} hold a login"
    for path in logins:
        if login_of(root, path) != (username, password):
            return f"{path}: {login_of(root, path)!r} instead of {(username, password)!r}"
        if os.stat(os.path.join(root, path)).st_mode & 0o777 != 0o600:
            return f"{path} can be read by others"
    others = files(root) - logins
    others_before = files(before) - logins
    if others != others_before:
        return f"other files: {others ^ others_before}"
    _, changed, _ = filecmp.cmpfiles(root, before, others, shallow=False)
    if changed:
        return f"{username!r}, {password!r}: {changed} changed too"
    printed = (run.stdout + run.stderr).decode()
    return f"the password is printed: {printed}" if len(password) > 4 and password in printed else None


def every_free_text(cluster, role):
    run, before = cluster.render(role, {}, "before")
    if run.returncode != 0:
        return run.stderr.decode()
    for value in HOSTILE:
        pairs = [(value, value)] + ([(value, "plain"), ("plain", value)] if role == "node" else [])
        for pair in pairs:
            complaint = free_text(cluster, role, before, *pair)
            if complaint:
                return complaint
    return None


class Daemon(http.server.BaseHTTPRequestHandler):
    """As much of Docker's daemon as `docker pull` needs to show what it would log in with."""
    seen = []

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.end_headers()

    do_GET = do_HEAD

    def do_POST(self):
        login = self.headers.get("X-Registry-Auth")
        self.seen.append(json.loads(base64.urlsafe_b64decode(login)) if login else None)
        self.send_response(500)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def docker_reads(cluster):
    server = http.server.HTTPServer(("127.0.0.1", 0), Daemon)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for value in HOSTILE:
            _, root = cluster.render("node", dict(zip(FREE_TEXT, (value, value))))
            subprocess.run(["docker", "--config", os.path.join(root, "root/.docker"), "pull", "dockerhub.qingcloud.com/a/b"],
                           env={"PATH": os.environ["PATH"], "DOCKER_HOST": f"tcp://127.0.0.1:{server.server_port}"},
                           capture_output=True, check=False, timeout=300)
            login = Daemon.seen[-1] if Daemon.seen else None
            if login is None or (login["username"], login["password"]) != (value, value):
                return f"{value!r}: docker would log in with {login!r}"
        return None
    finally:
        server.shutdown()
        server.server_close()


def documents(path):
    with open(path, encoding="utf-8") as f:
        return list(yaml.safe_load_all(f))


def kubelet_flags(root):
    with open(os.path.join(root, "etc/systemd/system/kubelet.service.d/10-k8s-hooks.conf"), encoding="utf-8") as f:
        commands = [line[len("ExecStart="):] for line in f.read().replace("\\\n", " ").splitlines()
                    if line.startswith("ExecStart=/")]
    return shlex.split(commands[-1])


def good_values_arrive(cluster):
    """Each in its own place, of its own type."""
    env = {
        "access_key_id": "ZYXWVUTSRQPONMLKJIHG", "secret_access_key": "z" * 20 + "0123456789" * 2,
        "api_external_domain": "null", "cluster_port_range": "20000-20100", "max_pods": "120",
        "registry-mirrors": "https://a.example.com http://b.example.com:81", "docker_bip": "192.168.200.1/24",
        "insecure-registries": "10.0.0.0/8 hub:5000", "private-registry": "0x10", "kube_log_level": "7",
        "registry_ca": CA, "dockerhub_username": "user", "dockerhub_password": "pass",
    }
    run, root = cluster.render("master", env)
    if run.returncode != 0:
        return run.stderr.decode()
    kubeadm = {d["kind"]: d for d in documents(f"{root}/etc/kubernetes/kubeadm.yaml")}["ClusterConfiguration"]
    (kubelet,) = documents(f"{root}/etc/kubernetes/kubelet.yaml")
    (cloud,) = documents(f"{root}/etc/qingcloud/client.yaml")
    with open(f"{root}/etc/docker/daemon.json", encoding="utf-8") as f:
        docker = json.load(f)
    with open(f"{root}/root/.docker/config.json", encoding="utf-8") as f:
        registries = list(json.load(f)["auths"])
    with open(f"{root}/etc/docker/certs.d/0x10/ca.crt", encoding="utf-8") as f:
        ca = "".join(line for line in f if not line.startswith("#"))
    api = kubeadm["apiServer"]["extraArgs"]
    there = {
        "access_key_id": cloud["qy_access_key_id"], "secret_access_key": cloud["qy_secret_access_key"],
        "api_external_domain": next((n for n in kubeadm["apiServer"]["certSANs"] if n == "null"), None),
        "cluster_port_range": api["service-node-port-range"], "max_pods": kubelet["maxPods"],
        "registry-mirrors": docker["registry-mirrors"], "docker_bip": docker["bip"],
        "insecure-registries": docker["insecure-registries"], "private-registry": registries,
        "registry_ca": "".join(ca.split()),
        "kube_log_level": [api["v"], kubeadm["scheduler"]["extraArgs"]["v"],
                           kubeadm["controllerManager"]["extraArgs"]["v"], cloud["log_level"],
                           "--v=7" in kubelet_flags(root)],
    }
    wanted = {key: env[key] for key in there} | {
        "max_pods": 120, "registry-mirrors": env["registry-mirrors"].split(), "private-registry": [env["private-registry"]],
        "insecure-registries": env["insecure-registries"].split(), "kube_log_level": ["7", "7", "7", "debug", True],
        "registry_ca": "".join(CA.split()),
    }
    return None if there == wanted else f"{there}\ninstead of {wanted}"


def main():
    listed = subprocess.run([f"{BUILD}/bin/k8s-hook", "config", "parameters", "--json"], check=True, capture_output=True)
    # each file is synced: where there is no disk, that costs nothing
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        cluster = Cluster(directory)
        keys = [parameter["key"] for parameter in json.loads(listed.stdout)]
        env = cluster.views["master"]["env"]
        defaults = {key: env.get(key) or "a.example.com:80" for key in keys if key not in FREE_TEXT}
        taken = nothing_but(cluster, defaults)
        for key in defaults:
            result(f"{key} takes nothing hostile", taken.get(key))
        result("a CA certificate takes nothing hostile with it", beside_a_certificate(cluster))
        for role in ROLES:
            result(f"free text stays in its place on a {role}", every_free_text(cluster, role))
        if shutil.which("docker"):
            result("docker reads the login as it was given", docker_reads(cluster))
        else:
            result("docker reads the login as it was given # SKIP no docker")
        result("good values arrive in their places", good_values_arrive(cluster))
        for description, complaint in hostile_addons.results(directory, cluster.settings, HOSTILE):
            result(description, complaint)
    print(f"1..{len(results)}")
    return 0 if all(results) else 1


sys.exit(main())
