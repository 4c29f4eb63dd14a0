"""A machine in a root directory: our programs as an image has them, on an overlay of this host, in namespaces of its own.
systemd, Docker, the kubelet's health and the metadata server are stand-ins (tests/lab/standin.c, metad, cloudapi); kubeadm,
kubectl, etcd, the API server, tar and the rest are the real programs."""

import ctypes
import glob
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.abspath(HERE + "/../../..")
BUILD = os.path.join(TREE, os.environ.get("BUILD", "build").split()[0])
COVERAGE = BUILD.endswith("-coverage")  # its programs write their figures there when they end
KUBERNETES = "/var/cache/k8s-hooks/kubernetes-v1.20.2"
CLUSTER = "three-logs"
METADATA_PORT, CLOUD_PORT, MANAGE_PORT = 81, 82, 9611
IPS = {"master": "192.168.0.2", "node": "192.168.1.1", "log": "192.168.3.1", "client": "192.168.4.1"}
STATE = {role: "data/kubernetes/hooks" for role in ("master", "node", "log")} | {"client": "var/lib/k8s-hooks"}
# what `docker load` finds in the image, of those in tests/golden/opt/versions.json
ARCHIVES = ["pause", "kube-proxy"]
# an add-on of each kind is applied: with all of them a start takes ten times as long
ADDONS_SKIPPED = ["flannel", "hostnic", "storage", "elasticsearch", "elasticsearch-external", "kibana", "fluent-bit",
                  "dashboard", "prometheus", "istio", "cloud-controller"]
LOGS_IP = "10.96.0.11"  # of Elasticsearch's Service: log nodes talk to it
# what the image would have of its own, and this host must not show
HIDDEN = ["data", "etc/kubernetes", "opt/kubernetes", "root", "etc/docker", "etc/systemd/system", "etc/qingcloud",
          "etc/k8s-hooks", "var/lib/k8s-hooks", "var/lib/kubelet", "etc/confd", "etc/cni"]

# what kubeadm calls it for
SYSTEMCTL = """#!/bin/sh
case $1 in
start | stop | restart) exec standin "$1" "${2%.service}.service" ;;
status) echo "Loaded: loaded" ;;
is-active) echo active ;;
is-enabled) echo enabled ;;
esac
"""

libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, fstype=None, flags=0, options=None):
    encode = lambda text: None if text is None else text.encode()
    if libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(options)) < 0:
        raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")


def umount(target):
    if libc.umount2(target.encode(), 2) < 0:  # MNT_DETACH
        raise OSError(ctypes.get_errno(), f"umount {target}")


def put(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def copy(source, target):
    subprocess.run(["cp", "-a", source, target], check=True)


def network():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for ip in [*IPS.values(), LOGS_IP]:
        subprocess.run(["ip", "addr", "add", ip + "/32", "dev", "lo"], check=True)
    # kubeadm wants a default route to look at
    for command in ("link add eth0 type veth peer name other", "link set eth0 up", "addr add 192.168.0.250/24 dev eth0",
                    "route add default via 192.168.0.1 dev eth0"):
        subprocess.run(["ip"] + command.split(), check=True)


def client_key(path):
    """The client's key, of which the metadata holds the public half."""
    global public_key
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-C", "client-1", "-f", path],
                   check=True)
    with open(path + ".pub") as f:
        public_key = f.read()


public_key = None
token = None  # what the master registered: none before its init


def metadata(role, change=None):
    view = json.loads(subprocess.check_output([BUILD + "/lab/cluster-view", CLUSTER, role], cwd=TREE))
    view["cluster"]["api_server"] = {"host": "127.0.0.1", "port": str(CLOUD_PORT), "protocol": "http"}
    for name, hosts in view["hosts"].items():
        for host in list(hosts.values()) + ([view["host"]] if name == role else []):
            if name == "client":
                host["pub_key"] = public_key
            if name == "master":
                host.pop("token", None)
                if token is not None:
                    host["token"] = token
    if change is not None:
        change(view)
    return view


class Machine:
    """WORK is a directory in a mount namespace of the caller's own; everything lies below it."""

    def __init__(self, work, role):
        self.work, self.role = work, role
        self.lower, self.root, self.run = work + "/installed", work + "/root", work + "/run"
        self.upper, self.state = work + "/upper", work + "/state"
        self.servers = []
        self.mounted = False
        os.makedirs(work, exist_ok=True)
        for directory in (self.lower, self.root, self.run, self.run + "/systemd/system"):
            os.makedirs(directory)
        self.install()

    def install(self):
        for path in HIDDEN:
            os.makedirs(f"{self.lower}/{path}")
            os.setxattr(f"{self.lower}/{path}", "trusted.overlay.opaque", b"y")
        opt = self.lower + "/opt/kubernetes"
        shutil.copytree(BUILD + "/bin", opt + "/bin")
        shutil.copytree(TREE + "/templates", opt + "/templates")
        os.makedirs(opt + "/roles")
        for conf in glob.glob(TREE + "/roles/*.conf"):
            shutil.copy(conf, opt + "/roles")
        shutil.copytree(TREE + "/tests/golden/opt", opt, dirs_exist_ok=True)
        with open(opt + "/versions.json") as f:
            images = json.load(f)["images"]
        os.makedirs(opt + "/images")
        for name in ARCHIVES:
            manifest = json.dumps([{"Config": "c.json", "RepoTags": [images[name]]}], separators=(",", ":")).encode()
            with tarfile.open(f"{opt}/images/{name}.tar", "w") as archive:
                member = tarfile.TarInfo("manifest.json")
                member.size = len(manifest)
                archive.addfile(member, io.BytesIO(manifest))
        for program in ("kubeadm", "kubectl"):
            os.makedirs(self.lower + "/usr/local/sbin", exist_ok=True)
            os.symlink(f"{KUBERNETES}/{program}", f"{self.lower}/usr/local/sbin/{program}")
        shutil.copy(BUILD + "/lab/standin", self.lower + "/usr/local/sbin/standin")
        put(self.lower + "/usr/local/sbin/systemctl", SYSTEMCTL, 0o755)
        for unit in ("docker.service", "docker.socket", "kubelet.service"):
            put(f"{self.lower}/usr/lib/systemd/system/{unit}", "[Unit]\n")
        self.configure()

    def configure(self, timeouts="timeouts { unit-s = 60 api-s = 120 token-s = 60 }\n", deadline_ms=120000, directory=None):
        skipped = ", ".join(f'"{name}"' for name in ADDONS_SKIPPED if (self.role, name) != ("log", "elasticsearch"))
        put((directory or self.lower) + "/etc/k8s-hooks/hook.conf",
            f'metadata {{ servers = {{"http://{IPS[self.role]}:{METADATA_PORT}"}} timeout-ms = 2000 '
            f"deadline-ms = {deadline_ms} }}\naddons {{ skip = {{{skipped}}} }}\n" + timeouts)

    def spawn(self, argv, **options):
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=TREE, **options)
        self.servers.append(child)
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"{argv[0]} does not start")
        return child

    def serve(self, started=None):
        """The servers beside the machine, with this host's view of the metadata. STARTED is a program that is run with the
        name of each unit that starts."""
        os.makedirs(self.state, exist_ok=True)
        key = self.work + "/tls"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=component", "-keyout", key + ".key", "-out", key + ".crt"],
                       check=True, stderr=subprocess.DEVNULL)
        self.standin = self.spawn([BUILD + "/lab/standin", "--root", self.root, "--state", self.state, "--run", self.run,
                                   "--cert", key + ".crt", "--key", key + ".key"] +
                                  (["--started", started] if started else []))
        self.standin_idle = self.standin_threads()
        self.cloud = None
        self.serve_cloud()
        self.metad = None

    def serve_cloud(self, keys=None, faults=None):
        """The cloud's API from now on: KEYS (secret by access key; None: the cluster's) are accepted; FAULTS as in
        tests/lab/shared/cloudapi.h."""
        self.end_cloud()
        view = metadata(self.role)
        put(self.work + "/cloud.json", json.dumps(
            {"keys": keys or {view["env"]["access_key_id"]: view["env"]["secret_access_key"]}, "zones": ["pek3a"], "vxnets": [],
             "nics": [], "instances": [{"instance_id": i, "of_cluster": True} for hosts in view["hosts"].values()
                                       for i in hosts]}))
        put(self.work + "/cloud-faults.json", json.dumps(faults or {}))
        self.cloud = self.spawn([BUILD + "/lab/cloudapi", "--listen", f"127.0.0.1:{CLOUD_PORT}", "--data",
                                 self.work + "/cloud.json", "--faults", self.work + "/cloud-faults.json"])

    def end_cloud(self):
        """Connections to it are refused from now on."""
        if self.cloud is not None:
            self.cloud.kill()
            self.cloud.wait()
            self.servers.remove(self.cloud)
            self.cloud = None

    def standin_threads(self):
        return len(os.listdir(f"/proc/{self.standin.pid}/task"))

    def settle(self):
        """Until the stand-ins are through with what a killed program sent them: they have a thread for each connection."""
        deadline = time.monotonic() + 300
        while self.standin_threads() > self.standin_idle:
            if time.monotonic() > deadline:
                raise RuntimeError("systemd's or Docker's stand-in still works for a program that was killed five minutes ago")
            time.sleep(0.005)

    def publish(self, view):
        """What the metadata server answers from now on."""
        if self.metad is not None:
            self.metad.kill()
            self.metad.wait()
            self.servers.remove(self.metad)
        self.view = view
        mapping = {key: f"/c/{key}" for key in view} | {"self": "/c"}
        data = {"data": {"c": view}, "mapping": {IPS[self.role]: mapping, "127.0.0.1": mapping}}
        put(self.work + "/metadata.json", json.dumps(data))
        self.metad = self.spawn([BUILD + "/lab/metad", "--listen", f"{IPS[self.role]}:{METADATA_PORT}", "--manage",
                                 f"127.0.0.1:{MANAGE_PORT}", "--data", self.work + "/metadata.json"])

    def boot(self, base=None):
        """The disk and what the stand-ins know as in the directory BASE (see `save`), or as the image has them."""
        self.shut()
        for directory in ("upper", "state"):
            path = f"{self.work}/{directory}"
            if directory == "state":  # the stand-in holds its path
                for entry in os.listdir(path):
                    subprocess.run(["rm", "-rf", f"{path}/{entry}"], check=True)
                if base is not None:
                    copy(f"{base}/state/.", path)
            else:
                shutil.rmtree(path, ignore_errors=True)
                copy(f"{base}/upper", path) if base is not None else os.makedirs(path)
        self.mount()

    def mount(self):
        if os.path.exists(self.run + "/k8s-hooks-stopped"):  # of another boot
            os.remove(self.run + "/k8s-hooks-stopped")
        os.makedirs(self.work + "/scratch", exist_ok=True)
        mount("overlay", self.root, "overlay", 0,
              f"lowerdir={self.lower}:/,upperdir={self.upper},workdir={self.work}/scratch")
        # a volume of its own, as on a real machine
        os.makedirs(self.upper + "/data", exist_ok=True)
        mount(self.upper + "/data", self.root + "/data", None, 4096)
        mount("proc", self.root + "/proc", "proc")
        mount("/dev", self.root + "/dev", None, 4096)
        mount("/sys", self.root + "/sys", None, 4096)
        mount(self.run, self.root + "/run", None, 4096)
        mount("tmpfs", self.root + "/tmp", "tmpfs")
        if COVERAGE:
            os.makedirs(self.root + BUILD, exist_ok=True)
            mount(BUILD, self.root + BUILD, None, 4096)
        self.mounted = True

    def shut(self):
        if self.mounted:
            for path in ([BUILD] if COVERAGE else []) + ["tmp", "run", "sys", "dev", "proc", "data", ""]:
                umount(f"{self.root}/{path.lstrip('/')}".rstrip("/"))
            shutil.rmtree(self.work + "/scratch")
            self.mounted = False

    def save(self, base):
        shutil.rmtree(base, ignore_errors=True)
        os.makedirs(base)
        copy(self.upper, base + "/upper")
        copy(self.state, base + "/state")

    def command(self, event):
        return [f"/opt/kubernetes/bin/k8s-{self.role}"] + event

    def event(self, event, *, killer=(), seconds=600, quiet=False, environment=None):
        """Runs it in the machine; returns (status, output)."""
        argv = [BUILD + "/lab/killer", "--root", self.root, *killer, "--"] if killer else ["chroot", self.root, "/usr/bin/env"]
        argv += [f"{name}={value}" for name, value in (environment or {}).items()]
        try:
            done = subprocess.run(argv + self.command(event), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT, text=True,
                                  errors="replace", stdin=subprocess.DEVNULL, timeout=seconds,
                                  env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        except subprocess.TimeoutExpired as late:
            return 124, f"not ended after {seconds} s: {late.output or b''}"
        return done.returncode, done.stdout

    def end(self):
        self.shut()
        for child in self.servers:
            child.kill()
            child.wait()


# keys that were made and not used yet are set aside, not deleted
SET_ASIDE = "data/kubernetes/pki.incomplete-"

# What may differ between two runs of the same event, and is compared by a test of its own or not at all.
ABSENT_OR_NOT = ("data/kubernetes/hooks/lock", "var/lib/k8s-hooks/lock", SET_ASIDE,
                 "data/kubernetes/hooks/revive.json", "var/lib/k8s-hooks/revive.json",  # of the last try, if it was needed
                 "root/.kube/cache",
                 "data/etcd/member", "data/etcd.before-restore/member")  # the last by `restored`
CONTENT_DIFFERS = ["data/kubernetes/hooks/cloud-resources.json", "data/kubernetes/hooks/runs.json", "data/kubernetes/hooks/lock",
                   "data/kubernetes/hooks/bootstrap-token", "data/kubernetes/hooks/cloud.json",
                   "data/kubernetes/hooks/reload-owed.json", "data/kubernetes/pki/encryption.yaml",
                   "data/kubernetes/hooks/stamps/encryption", "etc/shadow", "etc/shadow-", "data/kubernetes/client.conf",
                   "data/kubernetes/admin.conf", "data/kubernetes/kubelet.conf", "data/kubernetes/scheduler.conf",
                   "data/kubernetes/controller-manager.conf", "var/lib/k8s-hooks/runs.json",
                   "var/lib/k8s-hooks/reload-owed.json"]
KEYS = (".key", ".crt", ".pub", ".pem")
# of these only that they are there, and what `sound_backups` sees
BACKUPS = "data/backup/"


def describe(upper):
    """PATH: what it is, for each file of UPPER."""
    tree = {}
    for directory, names, files in os.walk(upper):
        for name in names + files:
            path = os.path.join(directory, name)
            short = path[len(upper) + 1:]
            st = os.lstat(path)
            what = f"{stat.filemode(st.st_mode)} {st.st_uid}:{st.st_gid}"
            if short.startswith(ABSENT_OR_NOT):
                continue
            if stat.S_ISLNK(st.st_mode):
                what += " -> " + os.readlink(path)
            elif stat.S_ISREG(st.st_mode) and short not in CONTENT_DIFFERS and not short.endswith(KEYS) and \
                    not short.startswith(BACKUPS):
                with open(path, "rb") as f:
                    what += " " + repr(f.read())
            elif stat.S_ISREG(st.st_mode) and st.st_size == 0:
                what += " empty"
            tree[short] = what
    return tree


def difference(expected, found):
    """Lines of what FOUND has otherwise; [] for none."""
    lines = []
    for path in sorted(set(expected) | set(found)):
        a, b = expected.get(path), found.get(path)
        if a != b:
            lines.append(f"{path}: {'absent' if b is None else 'there' if a is None else 'differs'}"
                         + ("" if a is None or b is None else f"\n  expected {a[:300]}\n  found    {b[:300]}"))
    return lines


def sound_backups(upper):
    """Complaints about finished backups: each file is what its manifest says."""
    complaints = []
    for path in glob.glob(f"{upper}/data/backup/*/manifest.json"):
        with open(path) as f:
            manifest = json.load(f)
        for name, expected in manifest["sha256"].items():
            with open(f"{os.path.dirname(path)}/{name}", "rb") as f:
                if hashlib.sha256(f.read()).hexdigest() != expected:
                    complaints.append(f"{path}: {name} is another one")
    return complaints


def other_cluster(before, after):
    """Complaints when the machine has other CAs and keys of the cluster than it had."""
    complaints = []
    for name in ("ca.crt", "ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"):
        paths = [f"{upper}/data/kubernetes/pki/{name}" for upper in (before, after)]
        if os.path.exists(paths[0]) and (not os.path.exists(paths[1]) or open(paths[0]).read() != open(paths[1]).read()):
            complaints.append(f"{name} is another one")
    return complaints


def restored(upper):
    """Complaints when etcd's data, or what it replaced, is not there."""
    paths = [f"{upper}/data/{name}/member/snap/db" for name in ("etcd", "etcd.before-restore")]
    return [f"{path} is missing or empty" for path in paths if not os.path.exists(path) or os.path.getsize(path) == 0]


def sound_keys(upper):
    """Complaints about the keys of a master: each certificate belongs to its key and to its CA."""
    pki = upper + "/data/kubernetes/pki"
    complaints = []
    for ca, leaves in (("ca", ["apiserver", "apiserver-kubelet-client"]), ("front-proxy-ca", ["front-proxy-client"]),
                       ("etcd/ca", ["etcd/server", "etcd/peer", "etcd/healthcheck-client", "apiserver-etcd-client"])):
        certificates = [f"{pki}/{leaf}.crt" for leaf in leaves]
        if not os.path.exists(certificates[0]):
            continue
        verified = subprocess.run(["openssl", "verify", "-CAfile", f"{pki}/{ca}.crt"] + certificates, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if verified.returncode != 0:
            complaints.append(verified.stdout)
        for name in [ca] + leaves:
            public = [subprocess.run(["openssl"] + command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
                      for command in (["x509", "-noout", "-pubkey", "-in", f"{pki}/{name}.crt"],
                                      ["pkey", "-pubout", "-in", f"{pki}/{name}.key"])]
            if public[0] != public[1] or not public[0]:
                complaints.append(f"{name}.crt and {name}.key do not belong together")
    return complaints
