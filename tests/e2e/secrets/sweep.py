#!/usr/bin/python3
"""Where the secrets of a lab's cluster are: sweep.py sweep fails when one is where PLACES does not have it.

Secrets are the marked values of values.json and of the scenario, and all keys and tokens that the cluster made, which are read
from their homes. Each is looked for as it is, in base64 (at each of the three offsets), and as the bytes of a key's
DER form, in: every file of the machines' disks and memory file systems, the cluster's objects, journals, the documents of the
cluster's Elasticsearch, the metadata as each machine sees it, the lab's own logs, and the command line and environment of each
process there has been. The image is from before all of them: it has no private key of its own.

sweep.py planted N: at least half of the N programs that were given a marked argument and variable were recorded.
"""
import base64
import collections
import glob
import json
import os
import re
import subprocess
import sys

LAB = os.environ["LAB"]

# Who may hold what: the group of secrets, machines, path, and the most that may be open of its mode.
ROOT_ONLY = 0o700
PLACES = [
    # what every host is given, and has to use
    ("cloud key|registry|join token", "any", r"metadata|/(data/kubernetes/hooks|var/lib/k8s-hooks)/metadata\.json", ROOT_ONLY),
    # the agent's own list of what a reload depends on
    ("cloud key|registry|join token", "any", r"/var/lib/k8s-hooks/watched", ROOT_ONLY),
    ("cloud key", "master|node|log", r"/etc/qingcloud/client\.yaml", ROOT_ONLY),
    ("registry", "any", r"/root/\.docker/config\.json|/data/var/lib/kubelet/config\.json", ROOT_ONLY),
    ("join token", "master", r"/data/kubernetes/hooks/bootstrap-token", ROOT_ONLY),
    ("join token", "node|log", r"/data/kubernetes/kubeadm-join\.yaml", ROOT_ONLY),
    # the control plane's keys, and backups of them
    ("cluster key", "master", r"/data/kubernetes/(pki/(etcd/)?[a-z-]+\.key|pki/encryption\.yaml|hooks/admission\.key)", ROOT_ONLY),
    ("admin key", "master", r"/data/kubernetes/(admin|controller-manager|scheduler)\.conf", ROOT_ONLY),
    ("cluster key|admin key|client key|join token", "master", r"/data/backup/[a-z0-9.-]+/.*", ROOT_ONLY),
    ("client key", "master", r"/data/kubernetes/client\.conf", ROOT_ONLY),
    ("client key", "client", r"/root/\.kube/config", ROOT_ONLY),
    # what a machine made for itself
    ("own key", "own", r"/data/var/lib/kubelet/pki/.*|/data/kubernetes/kubelet\.conf|/root/\.ssh/id_rsa|/etc/ssh/ssh_host_[a-z0-9]+_key",
     ROOT_ONLY),
    # the cloud's controllers use the API key: their manifests, their Secrets, and what the kubelet gives to their pods
    ("cloud key", "master", r"/data/kubernetes/hooks/addons/(cloud-controller|storage|hostnic)\.yaml", ROOT_ONLY),
    ("cloud key", "cluster", r"secret kube-system/(cloud-controller-manager|csi-qingcloud|qcsecret)", ROOT_ONLY),
    ("join token", "cluster", r"secret kube-system/bootstrap-token-[a-z0-9]{6}", ROOT_ONLY),
    ("account token", "cluster", r"secret [a-z-]+/[a-z0-9-]+-token-[a-z0-9]{5}", ROOT_ONLY),
    ("cloud key|account token", "any", r"/data/var/lib/kubelet/pods/[0-9a-f-]+/volumes/kubernetes\.io~secret/.*", 0o777),
]


def machines():
    with open(f"{LAB}/lab.json", encoding="utf-8") as file:
        lab = json.load(file)
    for machine in lab["machines"]:
        yield machine["name"], machine["role"], f"/proc/{machine['leader'][0]}/root"


class Secret:
    def __init__(self, group, name, home=None):
        self.group, self.name, self.home = group, name, home


def base64_forms(data):
    """What base64 of any text that holds DATA has in it: one string for each offset."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data)
        skip = (0, 2, 3)[offset]
        yield encoded[skip:len(encoded) - 4]


def private_part(der):
    """Of a private key's DER form bytes that its public key does not have."""
    scalar = re.search(rb"\x02\x01\x01\x04\x20(.{32})", der, re.S) or \
        re.search(rb"\0\0\0\x41\x04.{64}\0\0\0[\x20\x21]\0?(.{32})", der, re.S)  # OpenSSL's forms, and OpenSSH's
    if scalar and len(der) < 600:
        return scalar.start(1), scalar.end(1)
    return int(len(der) * 0.6), int(len(der) * 0.6) + 60


def key_forms(pem):
    """Of a key in PEM: characters of one line of it, of its base64, and bytes of its DER form."""
    body = re.search(rb"PRIVATE KEY-----\r?\n(.*?)-----END", pem, re.S)
    if body is None:
        return
    lines = body.group(1).split()
    der = base64.b64decode(b"".join(lines))
    begin, end = private_part(der)
    yield max(der[begin:end].split(b"\n"), key=len)[:24]
    first, last = -(-begin // 3) * 4, end // 3 * 4
    width = len(lines[0])
    line = first // width
    start, stop = first % width, min(width, first % width + last - first)
    if stop - start < 20 and line + 1 < len(lines):
        line, start, stop = line + 1, 0, min(len(lines[line + 1]), last - (line + 1) * width)
    text = lines[line][start:stop]
    yield text
    yield from base64_forms(text)


def value_forms(value):
    yield value
    yield from base64_forms(value)


def add_keys(found, group, home, pems):
    for number, pem in enumerate(pems):
        secret = Secret(group, f"{home[0]}: {home[1]}" + (f" ({number})" if number else ""), home[0])
        for form in key_forms(pem):
            if len(form) >= 8:
                found.setdefault(form, []).append(secret)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def kubeconfig_keys(data):
    return [base64.b64decode(key) for key in re.findall(rb'client-key-data"?: *"?([A-Za-z0-9+/=]+)', data)]


def pem_keys(data):
    return re.findall(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", data, re.S)


def add_values(found, group, name, value):
    for form in value_forms(value):
        found.setdefault(form, []).append(Secret(group, name))


def made_by_machines(found):
    for name, role, root in machines():
        homes = {"own key": ["data/var/lib/kubelet/pki/*", "root/.ssh/id_rsa", "etc/ssh/ssh_host_*_key"]}
        if role == "master":
            homes["cluster key"] = ["data/kubernetes/pki/*.key", "data/kubernetes/pki/etcd/*.key", "data/kubernetes/hooks/admission.key"]
            homes["admin key"] = ["data/kubernetes/admin.conf", "data/kubernetes/controller-manager.conf", "data/kubernetes/scheduler.conf"]
            homes["client key"] = ["data/kubernetes/client.conf"]
        if role == "client":
            homes["client key"] = ["root/.kube/config"]
        for group, patterns in homes.items():
            for path in sorted(path for pattern in patterns for path in glob.glob(f"{root}/{pattern}")
                               if not os.path.islink(path)):
                data = read(path)
                add_keys(found, group, (name, path[len(root):]), pem_keys(data) + kubeconfig_keys(data))
        if role == "master":
            for number, key in enumerate(re.findall(rb"secret: *(\S+)", read(f"{root}/data/kubernetes/pki/encryption.yaml"))):
                add_values(found, "cluster key", f"encryption.yaml ({number})", key.rstrip(b"="))
            token = json.loads(subprocess.run(["nsenter", "-t", root.split("/")[2], "-a", "/opt/kubernetes/bin/k8s-master", "metadata"],
                                              check=True, stdout=subprocess.PIPE).stdout)["bootstrap_token"]
            add_values(found, "join token", "token", token.split(".")[1].encode())


def marked(found):
    """The cores of marked values, which no way of escaping changes."""
    text = read("values.json") + read("scenario")
    groups = {"MARKED": "cloud key", "MarkedSecret": "cloud key", "MarkedPassword": "registry"}
    for value in set(re.findall(rb"MARKEDMARKED[A-Z]+|Marked(?:Secret|Password)[A-Za-z0-9_]+", text)):
        group = next(group for start, group in groups.items() if value.startswith(start.encode()))
        for form in {value, value.replace(b"AfterTheChange", b"WrittenByHand")}:
            add_values(found, group, form.decode(), form)


def account_tokens(found, secrets):
    """Of each token a part of its signature."""
    for secret in secrets:
        if secret["type"] == "kubernetes.io/service-account-token":
            token = base64.b64decode(secret["data"]["token"])
            add_values(found, "account token", secret["metadata"]["name"], token[-100:-60])


class Sweep:
    """Looks for the forms of FOUND in files and texts, and keeps what is where it does not belong."""

    def __init__(self, found):
        self.found = found
        self.patterns = f"{LAB}/patterns"
        with open(self.patterns, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(b"\n".join(found) + b"\n")
        self.files = self.bytes = 0
        self.wrong = set()
        self.right = collections.Counter()

    def grep(self, arguments, **options):
        """Pairs of what grep -Z names and the form that it found."""
        command = ["grep", "-aoFZ", "-f", self.patterns, "-D", "skip", *arguments]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                env={"LC_ALL": "C", "PATH": os.environ["PATH"]}, check=False, **options).stdout
        for line in set(output.split(b"\n")):
            path, _, form = line.rpartition(b"\0")
            if form in self.found:
                yield path.decode(errors="replace"), form

    def judge(self, where, machine, role, path, mode, form):
        for secret in self.found[form]:
            for groups, who, pattern, most in PLACES:
                whose = who in ("any", role) or role in who.split("|") or (who == "own" and secret.home == machine)
                if secret.group in groups.split("|") and whose and re.fullmatch(pattern, path) and not mode & 0o777 & ~most:
                    self.right[(groups, who, pattern)] += 1
                    break
            else:
                self.wrong.add(f"{where}: {secret.group} ({secret.name})" + (f", mode {mode:o}" if mode else ""))

    def tree(self, machine, role, directory, prefix):
        """All files below DIRECTORY, which the machine has at PREFIX; other file systems below it are not entered."""
        for base, directories, names in os.walk(directory):
            directories[:] = [d for d in directories if not os.path.ismount(f"{base}/{d}") and not os.path.islink(f"{base}/{d}")]
            for name in names:
                try:
                    status = os.lstat(f"{base}/{name}")
                except OSError:
                    continue
                self.files += 1
                self.bytes += status.st_size
        for path, form in self.grep(["-r", directory]):
            inside = prefix + path[len(directory):]
            try:
                mode = os.lstat(path).st_mode & 0o777
            except OSError:
                mode = 0
            self.judge(f"{machine}: {inside}", machine, role, inside, mode, form)

    def text(self, where, machine, role, data):
        """What something prints: WHERE is the path by which PLACES knows it."""
        self.bytes += len(data)
        for _, form in self.grep(["-H"], input=data):
            self.judge(f"{machine}: {where}", machine, role, where, 0, form)


def inside(root, *command):
    """What a command in a machine prints."""
    result = subprocess.run(["nsenter", "-t", root.split("/")[2], "-a", *command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=600, check=False)
    return result.stdout


def memory_file_systems(root):
    with open(f"/proc/{root.split('/')[2]}/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            kind = fields[fields.index("-") + 1]
            if kind in ("tmpfs", "ramfs") and not fields[4].startswith(("/proc", "/sys")) and "/docker/" not in fields[4]:
                yield fields[4]


def documents(root):
    """All that the cluster's Elasticsearch has, as its own API prints it; that is the address of its service."""
    found = inside(root, "curl", "-sf", "-m", "500", "--retry", "10", "--retry-connrefused", "http://10.96.0.11:9200/_all/_search?size=1000000")
    total = json.loads(found)["hits"]["total"]
    total = total["value"] if isinstance(total, dict) else total
    if not 0 < total == len(json.loads(found)["hits"]["hits"]):
        raise RuntimeError(f"of {total} documents in Elasticsearch {len(json.loads(found)['hits']['hits'])} were read")
    return total, found


def keys_of_image(layers):
    """Private keys in what all machines boot from, outside of the distribution's own files: whoever has one machine has them."""
    for layer in layers:
        for top in ("etc", "root", "home", "opt", "var", "data"):
            listed = subprocess.run(["grep", "-rlaF", "-D", "skip", "PRIVATE KEY-----", f"{layer}/{top}"], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, check=False).stdout
            for path in listed.decode(errors="replace").splitlines():
                if any(re.fullmatch(rb"[A-Za-z0-9+/=\s]{80,}", pem.split(b"-----")[2]) for pem in pem_keys(read(path))):
                    yield path


def sweep():
    found = {}
    marked(found)
    made_by_machines(found)
    client = next(root for name, role, root in machines() if role == "client")
    secrets = json.loads(inside(client, "kubectl", "get", "secrets", "-A", "-o", "json"))["items"]
    account_tokens(found, secrets)
    sweep = Sweep(found)
    for name, role, root in machines():
        sweep.tree(name, role, f"{LAB}/machines/{name}/upper", "")
        sweep.tree(name, role, f"{LAB}/machines/{name}/data", "/data")
        for path in set(memory_file_systems(root)):
            sweep.tree(name, role, root + path, path)
        for journal in (f"{LAB}/machines/{name}/upper/var/log/journal", f"{root}/run/log/journal"):
            if os.path.isdir(journal):
                sweep.text("journal", name, role, subprocess.run(["journalctl", "-D", journal, "-o", "export", "--all"],
                                                                 stdout=subprocess.PIPE, check=True).stdout)
        sweep.text("metadata", name, role, inside(root, "curl", "-sf", "http://metadata/", "http://metadata/self", "http://metadata/self/env"))
    sweep.text("objects", "cluster", "cluster", inside(client, "sh", "-c", (
        "kubectl get -A -o yaml $(kubectl api-resources --verbs=list -o name | grep -vx secrets | paste -sd,)")))
    total, stored = documents(next(root for _, role, root in machines() if role == "log"))
    sweep.text("documents", "elasticsearch", "elasticsearch", stored)
    with open(f"{LAB}/lab.json", encoding="utf-8") as file:
        sweep.wrong.update(f"image: {path} is a private key" for path in keys_of_image(json.load(file)["layers"]))
    for secret in secrets:
        values = b"\n".join(base64.b64decode(value) for value in (secret.get("data") or {}).values())
        sweep.text(f"secret {secret['metadata']['namespace']}/{secret['metadata']['name']}", "cluster", "cluster", values)
    for path in [f"{LAB}/processes", *glob.glob(f"{LAB}/*.log"), *glob.glob(f"{LAB}/machines/*/*.out"), *glob.glob(f"{LAB}/machines/*/console.log")]:
        sweep.text(path[len(LAB):], "lab", "lab", read(path))
    os.unlink(sweep.patterns)
    groups = collections.Counter(secret.group for secret in {id(s): s for all in found.values() for s in all}.values())
    print(f"{sum(groups.values())} secrets ({', '.join(f'{n} {group}' for group, n in sorted(groups.items()))}), {len(found)} forms; "
          f"{sweep.files} files, {total} documents in Elasticsearch, {sweep.bytes >> 20} MiB")
    for place in PLACES:
        print(f"{sweep.right[place[:3]]:4} {place[0]}, {place[1]}: {place[2]}")
    print(read(f"{LAB}/processes.stats").decode(), end="")
    for line in sorted(sweep.wrong):
        print("WRONG", line)
    return 1 if sweep.wrong else 0


def planted(count):
    record = read(f"{LAB}/processes")
    arguments = len(set(re.findall(rb"cmdline .*planted-argument-(\d+) *\n", record)))
    variables = len(set(re.findall(rb"environ .*planted-variable-(\d+)", record)))
    print(read(f"{LAB}/processes.stats").decode(), end="")
    print(f"of {count} programs {arguments} arguments and {variables} variables were seen")
    return 0 if min(arguments, variables) * 2 >= count else 1


sys.exit(planted(int(sys.argv[2])) if sys.argv[1] == "planted" else sweep())
