"""guards.py BUILD DIRECTORY: renders the add-ons of many clusters with the manifests of DIRECTORY/manifests and holds every
object against rules that need no cluster. TAP on stdout."""
import copy
import itertools
import json
import os
import re
import subprocess
import sys
import yaml

BUILD, WORK = sys.argv[1:]
VERSIONS = ["v1.20.2", "v1.21.14", "v1.22.17", "v1.23.17", "v1.24.17", "v1.25.16", "v1.26.15", "v1.27.16", "v1.28.15",
            "v1.29.15", "v1.30.14", "v1.31.1", "v1.32.0"]
# The form's counts (templates/appcenter/config.json): node and ssd_node from 0, log 0 or 2 to 5, one master.
NODES, LOGS = (0, 1, 3), (0, 2, 3, 4, 5)
MASTER_TAINTS = ("node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane")
# kubernetes.io/docs/reference/using-api/deprecation-guide: (group version, kinds or None for all): first minor without it
REMOVED = {
    ("extensions/v1beta1", None): 22, ("policy/v1beta1", None): 25, ("batch/v1beta1", None): 25,
    ("rbac.authorization.k8s.io/v1beta1", None): 22, ("storage.k8s.io/v1beta1", "CSIDriver"): 22,
    ("storage.k8s.io/v1beta1", "CSINode"): 22, ("storage.k8s.io/v1beta1", "StorageClass"): 22,
    ("storage.k8s.io/v1beta1", "VolumeAttachment"): 22, ("apiextensions.k8s.io/v1beta1", None): 22,
    ("admissionregistration.k8s.io/v1beta1", None): 22, ("apiregistration.k8s.io/v1beta1", None): 22,
    ("scheduling.k8s.io/v1beta1", None): 22, ("coordination.k8s.io/v1beta1", None): 22,
    ("networking.k8s.io/v1beta1", None): 22, ("discovery.k8s.io/v1beta1", None): 25,
    ("events.k8s.io/v1beta1", None): 25, ("node.k8s.io/v1beta1", None): 25, ("autoscaling/v2beta1", None): 25,
    ("autoscaling/v2beta2", None): 26, ("flowcontrol.apiserver.k8s.io/v1beta1", None): 26,
    ("authentication.k8s.io/v1beta1", "TokenReview"): 22, ("authorization.k8s.io/v1beta1", None): 22,
    ("certificates.k8s.io/v1beta1", "CertificateSigningRequest"): 22, ("storage.k8s.io/v1beta1", "CSIStorageCapacity"): 27,
    ("flowcontrol.apiserver.k8s.io/v1beta2", None): 29, ("flowcontrol.apiserver.k8s.io/v1beta3", None): 32,
}
ADDED = {("policy/v1", "PodDisruptionBudget"): 21, ("batch/v1", "CronJob"): 21, ("discovery.k8s.io/v1", None): 21,
         ("autoscaling/v2", None): 23, ("storage.k8s.io/v1", "CSIStorageCapacity"): 24,
         ("flowcontrol.apiserver.k8s.io/v1beta2", None): 23, ("flowcontrol.apiserver.k8s.io/v1beta3", None): 26,
         ("flowcontrol.apiserver.k8s.io/v1", None): 29}
# What the API server makes itself.
BUILT_IN_ROLES = re.compile(r"^(system:.*|cluster-admin|admin|edit|view|extension-apiserver-authentication-reader)$")
# On every machine: of the base system, or made by the kubelet, Docker or a CNI plugin before a pod needs it.
BASE_PATHS = {"/dev", "/proc", "/sys", "/run", "/var/log", "/var/run", "/etc/ssl/certs", "/lib/modules", "/etc/machine-id",
              "/run/log/journal", "/var/log/journal", "/opt/cni/bin", "/etc/cni/net.d", "/etc/localtime",
              "/data/var/lib/docker/containers"}
# Made by Docker, empty, as the pods that have them want.
EMPTY_PATHS = {"/run/flannel", "/var/run/hostnic", "/var/lib/hostnic"}

tests = []


def result(name, complaints):
    complaints = sorted(set(complaints))
    tests.append(not complaints)
    print(f"{'' if not complaints else 'not '}ok {len(tests)} - {name}")
    for line in complaints[:30]:
        print(f"# {line}")
    sys.stdout.flush()


def image_references(version):
    text = open("image/image.conf").read()
    found = re.findall(r'^image "([^"]+)" \{\s*reference = "([^"]+)"', text, re.M)
    return {name: reference.replace("${kubernetes}", version) for name, reference in found}


def document(node, ssd, log, hostnic):
    """A cluster's document as tests/golden/clusters has them."""
    base = json.load(open("tests/golden/clusters/ssd-nodes/metadata.json"))
    hosts = base["hosts"]
    pattern = {role: next(iter(hosts[role].values())) for role in ("node", "ssd_node", "log")}
    for index, (role, count) in enumerate((("node", node), ("ssd_node", ssd), ("log", log)), 1):
        hosts[role] = {}
        for sid in range(1, count + 1):
            host = copy.deepcopy(pattern[role])
            host.update(ip=f"192.168.{index}.{sid}", mac=f"52:54:00:0{index}:00:0{sid}", sid=str(sid), gid=str(sid),
                        gsid=f"{index}00{sid}", node_id=f"cln-{role[:3]}{index}{sid:04}", cpu="2", memory="4096")
            hosts[role][f"i-{role[:3]}{sid:05}"] = host
        if count == 0:
            del hosts[role]
    if log == 0:
        base["env"]["es_server"] = "192.168.9.9:9200"
    if hostnic:
        base["env"].update(enable_hostnic="true", pod_vxnets="vxnet-aaaa0001 vxnet-aaaa0002")
    return base


def render(version, node, ssd, log, hostnic=False):
    """The objects of the add-ons, each with the add-on it is of."""
    name = f"{version}-{node}-{ssd}-{log}-{hostnic}"
    top = os.path.join(WORK, name)
    if os.path.exists(top):
        return load(top)
    os.makedirs(f"{top}/opt")
    os.symlink(f"{WORK}/manifests", f"{top}/opt/manifests")
    json.dump({"kubernetes": version, "images": image_references(version)}, open(f"{top}/opt/versions.json", "w"))
    json.dump(document(node, ssd, log, hostnic), open(f"{top}/cluster.json", "w"))
    with open(f"{top}/hook.conf", "w") as conf:
        conf.write(f'paths {{ opt = "{top}/opt" }}\nmetadata {{ servers = {{"http://192.168.0.250:80"}} }}\n')
    view = subprocess.run([f"{BUILD}/lab/cluster-view", f"{top}/cluster.json", "master"], stdout=subprocess.PIPE, check=True)
    open(f"{top}/metadata.json", "wb").write(view.stdout)
    done = subprocess.run([f"{BUILD}/bin/k8s-master", "render", "--root", f"{top}/root", "--config", f"{top}/hook.conf",
                           "--metadata", f"{top}/metadata.json"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"Bail out! {name}: {done.stdout.decode()}")
    return load(top)


def load(top):
    objects = []
    directory = f"{top}/root/data/kubernetes/hooks/addons"
    for file in sorted(os.listdir(directory)):
        if file.endswith(".yaml"):
            objects += [(file[:-5], one) for one in yaml.safe_load_all(open(f"{directory}/{file}")) if one]
    return objects


def title(addon, one):
    return f"{addon}: {one['kind']} {one['metadata']['name']}"


def pod_templates(objects):
    """(add-on, object, pod spec with its labels, how many; None for one on each node)"""
    for addon, one in objects:
        spec = one.get("spec") or {}
        if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            template = spec["template"]
        elif one["kind"] == "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
        else:
            continue
        count = None if one["kind"] == "DaemonSet" else spec.get("replicas", 1)
        yield addon, one, template, count


def containers(template):
    return template["spec"].get("initContainers", []) + template["spec"]["containers"]


def normal(reference):
    """As Docker reads a name."""
    first = reference.split("/")[0]
    if "/" not in reference:
        return f"docker.io/library/{reference}"
    return reference if "." in first or ":" in first else f"docker.io/{reference}"


def check_images(objects, version):
    known = {normal(reference) for reference in image_references(version).values()}
    for addon, one, template, _ in pod_templates(objects):
        for container in containers(template):
            if normal(container["image"]) not in known:
                yield f"{title(addon, one)}: image {container['image']} is not in image.conf"
            if container.get("imagePullPolicy") == "Always":
                yield f"{title(addon, one)}: container {container['name']} is always pulled"


def tolerates(tolerations, taint):
    key, value = taint
    for one in tolerations:
        if one.get("effect") not in (None, "", "NoSchedule"):
            continue
        if not one.get("key") and one.get("operator") == "Exists":
            return True
        if one.get("key") == key and (one.get("operator") == "Exists" or one.get("value", "") == value):
            return True
    return False


def expression_holds(expression, labels):
    value, values = labels.get(expression["key"]), expression.get("values", [])
    return {"In": value in values, "NotIn": value not in values, "Exists": value is not None,
            "DoesNotExist": value is None}[expression["operator"]]


def selected(spec, labels):
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = (((spec.get("affinity") or {}).get("nodeAffinity") or {})
                .get("requiredDuringSchedulingIgnoredDuringExecution"))
    if not required:
        return True
    return any(all(expression_holds(e, labels) for e in term.get("matchExpressions", []))
               for term in required["nodeSelectorTerms"])


def millis(text):
    return int(text[:-1]) if str(text).endswith("m") else int(float(text) * 1000)


def mebibytes(text):
    number, unit = re.match(r"^([0-9.]+)([KMG]?i?)$", str(text)).groups()
    return float(number) * {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "M": 0.954, "G": 954, "K": 0.001, "": 1 / 1048576}[unit]


def requests(spec):
    total = [0, 0.0]
    for container in spec["containers"]:
        wanted = (container.get("resources") or {}).get("requests") or (container.get("resources") or {}).get("limits") or {}
        total[0] += millis(wanted.get("cpu", 0))
        total[1] += mebibytes(wanted.get("memory", 0))
    return total


def machines(node, ssd, log, master_taints):
    found = []
    for role, count, taints in (("master", 1, [(key, "") for key in master_taints]), ("node", node, []),
                                ("ssd_node", ssd, [("dedicated", "ssd")]), ("log", log, [("dedicated", "log")])):
        for sid in range(1, count + 1):
            name = f"{role}-{sid}".replace("_", "-")
            found.append({"labels": {"role": role, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                                     "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                                     "beta.kubernetes.io/arch": "amd64"},
                          "taints": taints, "ports": set(), "pods": [], "cpu": 2000, "memory": 4096})
    # kubeadm's static pods, kube-proxy and both pods of CoreDNS
    found[0]["cpu"] -= 250 + 200 + 100 + 100 + 200
    found[0]["memory"] -= 100 + 140
    return found


def fits(template, machine):
    spec = template["spec"]
    labels = template["metadata"]["labels"]
    if not selected(spec, machine["labels"]):
        return "its node selector or affinity"
    for taint in machine["taints"]:
        if not tolerates(spec.get("tolerations") or [], taint):
            return f"the taint {taint[0]}"
    if host_ports(spec) & machine["ports"]:
        return "a host port"
    anti = ((spec.get("affinity") or {}).get("podAntiAffinity") or {})
    for term in anti.get("requiredDuringSchedulingIgnoredDuringExecution") or []:
        wanted = term["labelSelector"]["matchLabels"]
        if any(all(other.get(k) == v for k, v in wanted.items()) for other in machine["pods"]):
            return "its anti-affinity"
    cpu, memory = requests(spec)
    if cpu > machine["cpu"] or memory > machine["memory"]:
        return f"{cpu}m and {memory:.0f} Mi requested, {machine['cpu']}m and {machine['memory']:.0f} Mi left"
    return None


def host_ports(spec):
    return {(port.get("hostPort") or (port["containerPort"] if spec.get("hostNetwork") else None),
             port.get("protocol", "TCP")) for one in spec["containers"] for port in one.get("ports", [])
            if port.get("hostPort") or spec.get("hostNetwork")}


def place(template, machine):
    machine["pods"].append(template["metadata"]["labels"])
    machine["ports"] |= host_ports(template["spec"])
    cpu, memory = requests(template["spec"])
    machine["cpu"] -= cpu
    machine["memory"] -= memory


def check_pods(objects, counts, master_taints):
    """DaemonSets first, as they must be everywhere; then the others, the choosiest first."""
    there = machines(*counts, master_taints)
    where = "node=%d ssd_node=%d log=%d" % counts
    templates = list(pod_templates(objects))
    for addon, one, template, count in templates:
        for machine in there if count is None else []:
            reason = fits(template, machine)
            if reason:
                yield f"{where}: {title(addon, one)} is not on {machine['labels']['kubernetes.io/hostname']}: {reason}"
            else:
                place(template, machine)
    rest = [t for t in templates if t[3] is not None]
    rest.sort(key=lambda t: sum(fits(t[2], machine) is None for machine in there))
    for addon, one, template, count in rest:
        for _ in range(count):
            reasons = {machine["labels"]["kubernetes.io/hostname"]: fits(template, machine) for machine in there}
            free = [machine for machine in there if not reasons[machine["labels"]["kubernetes.io/hostname"]]]
            if not free:
                yield f"{where}: {title(addon, one)} fits no node: {reasons}"
                break
            place(template, max(free, key=lambda machine: machine["cpu"]))


def names(objects, kind):
    return {(one["metadata"].get("namespace", "default"), one["metadata"]["name"]): one
            for _, one in objects if one["kind"] == kind}


def wants(spec):
    """(kind, name, keys) of each ConfigMap and Secret that a pod cannot start without."""
    def sources(volume):
        yield "ConfigMap", volume.get("configMap"), "name"
        yield "Secret", volume.get("secret"), "secretName"
        for part in (volume.get("projected") or {}).get("sources", []):
            yield "ConfigMap", part.get("configMap"), "name"
            yield "Secret", part.get("secret"), "name"
    for volume in spec.get("volumes", []):
        for kind, source, key in sources(volume):
            if source and not source.get("optional"):
                yield kind, source[key], [item["key"] for item in source.get("items", [])]
    for container in spec.get("initContainers", []) + spec["containers"]:
        for part in container.get("envFrom", []):
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if part.get(key) and not part[key].get("optional"):
                    yield kind, part[key]["name"], []
        for variable in container.get("env", []):
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                source = (variable.get("valueFrom") or {}).get(key)
                if source and not source.get("optional"):
                    yield kind, source["name"], [source["key"]]


def check_references(objects):
    accounts, classes = names(objects, "ServiceAccount"), names(objects, "StorageClass")
    spaces = {name for _, name in names(objects, "Namespace")} | {"kube-system", "default"}
    held = {kind: names(objects, kind) for kind in ("ConfigMap", "Secret")}
    for addon, one in objects:
        if one["metadata"].get("namespace", "default") not in spaces:
            yield f"{title(addon, one)}: nothing makes its namespace {one['metadata']['namespace']}"
    for addon, one, template, _ in pod_templates(objects):
        space, spec = one["metadata"].get("namespace", "default"), template["spec"]
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        if account != "default" and (space, account) not in accounts:
            yield f"{title(addon, one)}: nothing makes ServiceAccount {account}"
        if not (spec.get("priorityClassName") or "system-").startswith("system-"):
            yield f"{title(addon, one)}: nothing makes PriorityClass {spec['priorityClassName']}"
        for kind, name, keys in wants(spec):
            source = held[kind].get((space, name))
            if source is None:
                yield f"{title(addon, one)}: nothing makes {kind} {name}"
                continue
            there = set(source.get("data") or {}) | set(source.get("stringData") or {}) | set(source.get("binaryData") or {})
            for key in set(keys) - there:
                yield f"{title(addon, one)}: {kind} {name} has no key {key}"
        for claim in (one["spec"].get("volumeClaimTemplates") or []):
            name = claim["spec"].get("storageClassName")
            if name and ("default", name) not in classes:
                yield f"{title(addon, one)}: nothing makes StorageClass {name}"
        mounts = {mount["name"] for container in containers(template) for mount in container.get("volumeMounts", [])}
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates") or []}
        for name in mounts - volumes:
            yield f"{title(addon, one)}: volume {name} is mounted and not there"


def check_roles(objects):
    accounts = names(objects, "ServiceAccount")
    roles = {(kind, name) for kind in ("Role", "ClusterRole") for _, name in names(objects, kind)}
    for addon, one in objects:
        if one["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        reference = one["roleRef"]
        if (reference["kind"], reference["name"]) not in roles and not BUILT_IN_ROLES.match(reference["name"]):
            yield f"{title(addon, one)}: nothing makes {reference['kind']} {reference['name']}"
        for subject in one.get("subjects", []):
            if subject["kind"] == "ServiceAccount" and (subject["namespace"], subject["name"]) not in accounts:
                yield f"{title(addon, one)}: nothing makes ServiceAccount {subject['namespace']}/{subject['name']}"


def check_services(objects):
    templates = list(pod_templates(objects))
    for addon, one in objects:
        selector = (one.get("spec") or {}).get("selector") if one["kind"] == "Service" else None
        space = one["metadata"].get("namespace", "default")
        if selector and not any(all(template["metadata"]["labels"].get(k) == v for k, v in selector.items())
                                for _, other, template, _ in templates
                                if other["metadata"].get("namespace", "default") == space):
            yield f"{title(addon, one)}: selects no pod"


def check_host_paths(objects):
    """A path without a type is made by Docker, as a directory of root's: only where that is what the pod needs."""
    sources = "".join(open(f"{directory}/{file}").read() for top in ("app", "hooks") for directory, _, files in os.walk(top)
                      for file in files if file.endswith((".c", ".h")))
    paths = {}
    for name, base, rest in re.findall(r'^#define (\w+) (\w+ )?"([^"]*)"', open("app/paths.h").read(), re.M):
        paths[name] = paths.get(base.strip(), "") + rest
    made = BASE_PATHS | EMPTY_PATHS | set(paths.values()) | set(re.findall(r'"(/[A-Za-z0-9/._-]+)"', sources))
    for conf in os.listdir("roles"):
        if conf.endswith(".conf"):
            made |= {os.path.dirname(path) for path in re.findall(r'path = "([^"]+)"', open(f"roles/{conf}").read())}
    for addon, one, template, _ in pod_templates(objects):
        for volume in template["spec"].get("volumes", []):
            path = (volume.get("hostPath") or {}).get("path")
            if path and not volume["hostPath"].get("type", "").endswith("OrCreate") and path.rstrip("/") not in made:
                yield f"{title(addon, one)}: nothing makes {path} on a machine"


def check_api(objects, version):
    minor = int(version.split(".")[1])
    for addon, one in objects:
        for kind in (None, one["kind"]):
            removed = REMOVED.get((one["apiVersion"], kind))
            added = ADDED.get((one["apiVersion"], kind))
            if removed and minor >= removed or added and minor < added:
                yield f"{version}: {title(addon, one)}: {one['apiVersion']} is not served"


def main():
    placed, referred, seen = [], [], 0
    for node, ssd, log, hostnic in itertools.product(NODES, NODES, LOGS, (False, True)):
        objects = render(VERSIONS[0], node, ssd, log, hostnic)
        seen += len(objects)
        for taints in (MASTER_TAINTS[:1], MASTER_TAINTS, MASTER_TAINTS[1:]):
            placed += check_pods(objects, (node, ssd, log), taints)
        referred += itertools.chain(check_references(objects), check_roles(objects), check_services(objects),
                                    check_host_paths(objects))
    result("more than 5000 objects were read", [] if seen > 5000 else [f"{seen}"])
    result("every pod has a node in every cluster that the form allows", placed)
    result("what an object refers to is made", referred)
    for version in VERSIONS:
        objects = render(version, 1, 1, 2) + render(version, 1, 1, 0, True)
        result(f"images are in image.conf, {version}", check_images(objects, version))
        result(f"every API is served by {version}", check_api(objects, version))
    print(f"1..{len(tests)}")
    sys.exit(0 if all(tests) else 1)


main()
