"""What add-ons are given. Each value of the metadata that reaches a manifest, or a configuration inside of one, is refused
before anything is rendered, or stands in all of its places as it was given: the manifests are read by PyYAML, and what they
hold by readers of its own format. Called by hostile.py."""
import copy
import itertools
import json
import os
import shutil
import subprocess
import urllib.parse

import yaml

BUILD = os.environ.get("BUILD", "build")
# each has the required form, and another meaning where it stands unquoted
HOSTS = ["null", "true", "No", "off", "0x1f", "1e3", "0o17", "2021-01-01", "nan", "12.34.56.78", "a--b.1-1.c"]
IDS = ["null", "true", "No", "0x1f", "1e3", "1_000", "2021-01-01", "1.0", "017", "a.b_c-d", "0"]
DIGITS = ["0" * 40, "1e" + "0" * 38, "0x" + "1" * 38, "null" * 10]
# of the cluster itself: where in the metadata, and what is accepted there
PLATFORM = {
    ("cluster", "cluster_id"): IDS, ("cluster", "user_id"): IDS, ("cluster", "vxnet"): IDS, ("cluster", "zone"): IDS,
    ("cluster", "api_server", "host"): HOSTS, ("cluster", "api_server", "port"): ["1", "65535"],
    ("cluster", "api_server", "protocol"): ["http", "https"],
    ("links", "elk_service", "hosts", "es_node", "i-es000001", "ip"): ["12.34.56.78"],
    ("links", "elk_service", "cluster", "endpoints", "es", "port"): ["1", "65535"],
}
# by the cluster in which it is used: the parameter, and what is accepted
PARAMETERS = {
    "three-logs": {
        "access_key_id": ["NULL" * 5, "E" * 20], "secret_access_key": DIGITS,
        "kube_log_level": ["0", "1", "2", "10"],
        "fluent_forward_server": [""] + [f"{host}:1" for host in HOSTS],
        "cluster_port_range": ["30000-30000", "30001-30002", "1-65535"], "enable_istio": ["yes", "no"],
        "enable_helm": ["yes", "no"],
    },
    "es-server": {"es_server": [f"{host}:65535" for host in HOSTS]},
    "hostnic": {
        "pod_vxnets": ["vxnet-00000 vxnet-1e100", " vxnet-null0\t\nvxnet-12345 "], "access_key_id": ["NULL" * 5],
        "secret_access_key": DIGITS,
    },
    "elk-link": {},
}


def set_at(view, path, value):
    *parents, last = path
    for key in parents:
        view = view[key]
    view[last] = value


def fluent_bit(text, environment):
    """Its classic format: sections of lines, each a key, blanks, and the value up to the end; then its variables."""
    sections = []
    for line in text.splitlines():
        if line.startswith("["):
            sections.append((line.strip("[]"), {}))
        elif line.strip():
            key, value = line.strip().split(None, 1)
            for name, given in environment.items():
                value = value.replace("${" + name + "}", given)
            sections[-1][1][key] = value.strip()
    return sections


class Given:
    """The manifests below ROOT, by kind and name, with what their ConfigMaps and Secrets hold."""

    def __init__(self, root):
        directory = os.path.join(root, "data/kubernetes/hooks/addons")
        self.addons = {name.removesuffix(".yaml") for name in os.listdir(directory)}
        self.objects = {}
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), encoding="utf-8") as f:
                for document in yaml.safe_load_all(f):
                    self.objects[document["kind"], document["metadata"]["name"]] = document

    def text(self, kind, name, key):
        held = self.objects[kind, name]
        return held["stringData"][key] if kind == "Secret" else held["data"][key]

    def yaml(self, kind, name, key):
        return yaml.safe_load(self.text(kind, name, key))

    def container(self, kind, name):
        return self.objects[kind, name]["spec"]["template"]["spec"]["containers"][0]

    def environment(self, kind, name):
        return {e["name"]: e["value"] for e in self.container(kind, name)["env"] if "value" in e}


def given_cloud(given):
    secrets = [("cloud-controller-manager", "client.yaml"), ("csi-qingcloud", "config.yaml")]
    clusters = [("Secret", "cloud-controller-manager", "qingcloud.conf")]
    if "hostnic" in given.addons:
        secrets.append(("qcsecret", "config.yaml"))
        clusters.append(("ConfigMap", "clusterconfig", "qingcloud.yaml"))
    for name, key in secrets:
        client = given.yaml("Secret", name, key)
        yield "key", (client["qy_access_key_id"], client["qy_secret_access_key"])
        yield "cloud", (client["host"], client["port"], client["protocol"])
        yield "zone", client["zone"]
        yield "log name", client["log_level"]
    for place in clusters:
        cluster = given.yaml(*place)
        yield "zone", cluster["zone"]
        yield "cluster", (cluster["clusterID"], cluster["userID"], cluster["defaultVxNetForLB"])
    command = given.container("Deployment", "cloud-controller-manager")["command"]
    yield "log level", [word for word in command if word.startswith("--v")]


def given_network(given):
    if "hostnic" in given.addons:
        yield "vxnets", [vxnet["name"] for vxnet in given.objects["VxNetPool", "v-pool"]["spec"]["vxnets"]]
        yield "vxnets", json.loads(given.text("ConfigMap", "hostnic-ipam-config", "ipam"))["Default"]
    else:
        json.loads(given.text("ConfigMap", "kube-flannel-cfg", "net-conf.json"))
    (port,) = given.objects["Service", "prometheus"]["spec"]["ports"]
    yield "node port", port.get("nodePort")
    yaml.safe_load(given.text("ConfigMap", "prometheus", "prometheus.yml"))


def given_logs(given):
    fluent = fluent_bit(given.text("ConfigMap", "fluent-bit", "fluent-bit.conf"), given.environment("DaemonSet", "fluent-bit"))
    outputs = {section["Name"]: section for kind, section in fluent if kind == "OUTPUT"}
    yield "logs", (outputs["es"]["Host"], int(outputs["es"]["Port"]))
    forward = outputs.get("forward")
    yield "forward", forward and (forward["Host"], int(forward["Port"]))
    url = urllib.parse.urlsplit(given.environment("Deployment", "kibana-logging")["ELASTICSEARCH_HOSTS"])
    yield "logs", (url.netloc.rpartition(":")[0], url.port)
    service = given.objects["Service", "elasticsearch-logging"]["spec"]
    if "elasticsearch" in given.addons:
        names = given.text("ConfigMap", "elasticsearch-members", "initial-masters").split(",")
        yield "log nodes", (names, given.objects["StatefulSet", "elasticsearch-logging"]["spec"]["replicas"])
        given.yaml("ConfigMap", "elasticsearch", "elasticsearch.yml")
    elif service["type"] == "ExternalName":
        yield "logs", (service["externalName"], service["ports"][0]["port"])
    else:
        (subset,) = given.objects["Endpoints", "elasticsearch-logging"]["subsets"]
        yield "logs", (subset["addresses"][0]["ip"], subset["ports"][0]["port"])
        yield "logs", (subset["addresses"][0]["ip"], service["ports"][0]["targetPort"])


def logs_of(view):
    if "log" in view["hosts"]:
        return "10.96.0.11", 9200
    if "links" in view:
        link = view["links"]["elk_service"]
        return link["hosts"]["es_node"]["i-es000001"]["ip"], int(link["cluster"]["endpoints"]["es"]["port"])
    host, port = view["env"]["es_server"].rsplit(":", 1)
    return host, int(port)


def wanted_of(view):
    env, cluster = view["env"], view["cluster"]
    level, (low, high) = int(env["kube_log_level"]), map(int, env["cluster_port_range"].split("-"))
    forward = env["fluent_forward_server"].rsplit(":", 1)
    names = [f"log-{host['sid']}" for host in view["hosts"].get("log", {}).values()]
    return {
        "key": (env["access_key_id"], env["secret_access_key"]),
        "cloud": (cluster["api_server"]["host"], int(cluster["api_server"]["port"]), cluster["api_server"]["protocol"]),
        "zone": cluster["zone"], "cluster": (cluster["cluster_id"], cluster["user_id"], cluster["vxnet"]),
        "log name": "warn" if level == 0 else "info" if level == 1 else "debug", "log level": [f"--v={level}"],
        "vxnets": env["pod_vxnets"].split(), "node port": 30000 if low <= 30000 <= high else None, "logs": logs_of(view),
        "forward": (forward[0], int(forward[1])) if len(forward) == 2 else None,
        "log nodes": (names, len(names)),
    }


class Master:
    """A cluster as its master sees it, changed and rendered."""

    def __init__(self, name, directory, settings):
        out = subprocess.run([f"{BUILD}/lab/cluster-view", name, "master"], check=True, capture_output=True)
        self.view, self.directory, self.settings = json.loads(out.stdout), directory, settings

    def complaint(self, path, value, accepted):
        view = copy.deepcopy(self.view)
        set_at(view, path, value)
        metadata, root = os.path.join(self.directory, "master.json"), os.path.join(self.directory, "master")
        shutil.rmtree(root, ignore_errors=True)
        with open(metadata, "w", encoding="utf-8") as f:
            json.dump(view, f)
        run = subprocess.run([f"{BUILD}/bin/k8s-master", "render", "--root", root, "--config", self.settings, "--metadata",
                              metadata], capture_output=True, check=False)
        what = f"{'/'.join(path)} {value!r}"
        if not accepted:
            written = os.path.isdir(root) and any(set(names) - {"lock"} for _, _, names in os.walk(root))
            return None if run.returncode in (11, 13) and not written else f"{what}: status {run.returncode}"
        if run.returncode != 0:
            return f"{what}: {run.stderr.decode()}"
        given, wanted = Given(root), wanted_of(view)
        for meaning, found in itertools.chain(given_cloud(given), given_network(given), given_logs(given)):
            if found != wanted[meaning]:
                return f"{what}: {meaning} is {found!r} instead of {wanted[meaning]!r}"
        if ("istio" in given.addons) != (view["env"]["enable_istio"] == "yes"):
            return f"{what}: {given.addons}"
        return None


def first(complaints):
    return next((complaint for complaint in complaints if complaint), None)


def results(directory, settings, hostile):
    """(description, complaint) pairs. HOSTILE is what no field of the metadata accepts."""
    masters = {name: Master(name, directory, settings) for name in PARAMETERS}
    for name, keys in PARAMETERS.items():
        for key, values in keys.items():
            yield f"add-ons are given {key} ({name})", first(masters[name].complaint(("env", key), value, True)
                                                            for value in values)
    for path, values in PLATFORM.items():
        master = masters["elk-link" if path[0] == "links" else "three-logs"]
        yield f"add-ons are given {'/'.join(path)}", first(master.complaint(path, value, True) for value in values)
        yield f"{'/'.join(path)} takes nothing hostile", first(
            master.complaint(path, form, False) for value in hostile for form in (value, values[0] + value))
