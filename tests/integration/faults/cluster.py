"""A real etcd and API server with the keys of a machine's master, beside the machine. What a test changed in the cluster is
put back in etcd itself, which the API server follows by its watch."""

import base64
import hmac
import json
import os
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import machine as m

# what is compared, and what differs in two objects of the same content
RESOURCES = ["/api/v1/configmaps", "/api/v1/secrets", "/api/v1/services", "/api/v1/serviceaccounts", "/api/v1/nodes",
             "/apis/apps/v1/daemonsets", "/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets",
             "/apis/rbac.authorization.k8s.io/v1/roles", "/apis/rbac.authorization.k8s.io/v1/rolebindings",
             "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
             "/apis/storage.k8s.io/v1/storageclasses", "/apis/apiregistration.k8s.io/v1/apiservices"]
VOLATILE = ["resourceVersion", "uid", "creationTimestamp", "managedFields", "generation", "selfLink"]
# what counts changes: a repeated event may make one once more
COUNTERS = ["deprecated.daemonset.template.generation", "deployment.kubernetes.io/revision"]
# values with times, keys and tokens in them
UNLIKE = {"cluster-info": ["jws-kubeconfig", "kubeconfig"], "k8s-hooks-client": ["kubeconfig", "sha256"], "bootstrap-token": ["expiration"]}


class Busy(RuntimeError):
    """The API server has no time."""


class Client:
    """Requests as the master makes them. DATA is what is /data/kubernetes there."""

    def __init__(self, data, ip):
        self.pki, self.ip = data + "/pki", ip
        self.patience = 0  # seconds, in which what a loaded API server refuses or is late with is requested again

    def context(self, ca, cert):
        context = ssl.create_default_context(cafile=f"{self.pki}/{ca}.crt")
        context.check_hostname = False
        context.load_cert_chain(f"{self.pki}/{cert}.crt", f"{self.pki}/{cert}.key")
        return context

    def request(self, method, path, body=None, kind="application/json"):
        """The object the API server answers; None for 404."""
        end = time.monotonic() + self.patience
        while True:
            try:
                return self.request_once(method, path, body, kind)
            except (OSError, Busy):
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def request_once(self, method, path, body, kind):
        request = urllib.request.Request(f"https://{self.ip}:6443{path}", method=method, headers={"Content-Type": kind},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, context=self.context("ca", "apiserver-kubelet-client"), timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as failure:
            if failure.code in (404, 409):
                return None
            refusal = Busy if failure.code == 429 or failure.code >= 500 else RuntimeError
            raise refusal(f"{method} {path}: {failure.code} {failure.read()[:300]}") from failure


def report_node(client, name, ready="True", create=True):
    """As a kubelet does; the labels stay. READY of Unknown is what the controller manager makes of one that is silent."""
    with open("/proc/sys/kernel/random/boot_id") as f:
        boot = f.read().strip()
    if create:
        client.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {
            "name": name, "labels": {"kubernetes.io/hostname": name}}})
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    client.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": {
        "nodeInfo": {"bootID": boot, "kubeletVersion": "v1.20.2"}, "conditions": [
            {"type": "Ready", "status": ready, "reason": "Reported", "lastHeartbeatTime": now,
             "lastTransitionTime": now}]}}, "application/merge-patch+json")


class Cluster(Client):
    def __init__(self, work, data, ip):
        super().__init__(data, ip)
        self.work, self.data, self.children = work, data, []
        os.makedirs(work)
        self.start_etcd()
        self.start_api()
        self.wait()

    def spawn(self, name, argv):
        with open(f"{self.work}/{name}.log", "a") as log:
            self.children.append(subprocess.Popen(argv, stdout=log, stderr=log))
        return self.children[-1]

    def start_etcd(self):
        pki = self.pki + "/etcd"
        self.spawn("etcd", ["etcd", "--name=master-1", f"--data-dir={self.work}/etcd",
                            "--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
                            "--listen-metrics-urls=http://127.0.0.1:2381", f"--cert-file={pki}/server.crt",
                            f"--key-file={pki}/server.key", "--client-cert-auth", f"--trusted-ca-file={pki}/ca.crt",
                            "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                            "--initial-cluster=master-1=http://127.0.0.1:2380", "--max-txn-ops=10000"])

    def start_api(self):
        pki = self.pki
        self.api = self.spawn("kube-apiserver", [
            f"{m.KUBERNETES}/kube-apiserver", f"--advertise-address={self.ip}", "--bind-address=0.0.0.0", "--secure-port=6443",
            "--etcd-servers=https://127.0.0.1:2379", f"--etcd-cafile={pki}/etcd/ca.crt",
            f"--etcd-certfile={pki}/apiserver-etcd-client.crt", f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
            f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key", f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key", f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local", "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC", "--enable-bootstrap-token-auth=true", "--endpoint-reconciler-type=none",
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
            f"--encryption-provider-config={pki}/encryption.yaml", f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client", f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key"])

    def wait(self):
        """One whose bootstrap takes longer than 30 s, as on a loaded machine, ends; the kubelet would start it again."""
        deadline, self.patience = time.monotonic() + 600, 0
        while True:
            try:
                if self.request("GET", "/api/v1/namespaces/kube-public") and self.request("GET", "/api/v1/namespaces/default"):
                    self.patience = 120
                    return
            except (OSError, RuntimeError, ValueError):
                pass
            if self.api.poll() is not None:
                self.children.remove(self.api)
                self.start_api()
            if time.monotonic() > deadline:
                raise RuntimeError("the API server does not get ready: " + open(self.work + "/kube-apiserver.log").read()[-3000:])
            time.sleep(0.2)

    def sign_cluster_info(self):
        """What the controller manager does with a bootstrap token: `kubeadm join` wants cluster-info signed with it
        (design-proposals/cluster-lifecycle/bootstrap-discovery.md). The token stays valid for as long as the test takes."""
        encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
        path = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
        payload = encode(self.request("GET", path)["data"]["kubeconfig"].encode())
        for secret in self.request("GET", "/api/v1/namespaces/kube-system/secrets")["items"]:
            if secret["type"] != "bootstrap.kubernetes.io/token":
                continue
            self.request("PATCH", f"/api/v1/namespaces/kube-system/secrets/{secret['metadata']['name']}",
                         {"data": {"expiration": None}}, "application/merge-patch+json")
            token, key = (base64.b64decode(secret["data"][part]) for part in ("token-id", "token-secret"))
            header = encode(json.dumps({"alg": "HS256", "kid": token.decode()}, separators=(",", ":")).encode())
            mark = encode(hmac.new(key, header + b"." + payload, "sha256").digest())
            self.request("PATCH", path, {"data": {f"jws-kubeconfig-{token.decode()}": (header + b".." + mark).decode()}},
                         "application/merge-patch+json")

    def etcd(self, action, body):
        request = urllib.request.Request(f"https://127.0.0.1:2379/v3/kv/{action}", method="POST", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, context=self.context("etcd/ca", "etcd/healthcheck-client"), timeout=120) as answer:
            return json.loads(answer.read())

    def keys(self):
        start = base64.b64encode(b"/registry/").decode()
        end = base64.b64encode(b"/registry0").decode()
        found = self.etcd("range", {"key": start, "range_end": end})
        leases = base64.b64encode(b"/registry/leases/").decode()[:20]
        return {kv["key"]: kv.get("value", "") for kv in found.get("kvs", []) if not kv["key"].startswith(leases)}

    def reset(self, saved):
        now = self.keys()
        operations = [{"requestPut": {"key": key, "value": value}} for key, value in saved.items() if now.get(key) != value]
        operations += [{"requestDeleteRange": {"key": key}} for key in now if key not in saved]
        if operations:
            self.etcd("txn", {"success": operations})

    def objects(self):
        found = {}
        for path in RESOURCES:
            for item in self.request("GET", path)["items"]:
                meta = item["metadata"]
                for key in VOLATILE:
                    meta.pop(key, None)
                for key in COUNTERS:
                    meta.get("annotations", {}).pop(key, None)
                item.pop("status", None)
                for name, keys in UNLIKE.items():
                    for key in keys if meta["name"].startswith(name) else []:
                        if key in item.get("data", {}):
                            item["data"][key] = "there"
                if item.get("type") == "kubernetes.io/service-account-token":
                    continue
                name = meta["name"] if not meta["name"].startswith("bootstrap-token-") else "bootstrap-token"
                found[f"{path} {meta.get('namespace', '')}/{name}"] = re.sub(
                    r"cluster-admins:\d+", "cluster-admins:N", json.dumps(item, sort_keys=True))  # renewed once or twice
        return found

    def end_api(self):
        self.api.kill()
        self.api.wait()
        self.children.remove(self.api)
        self.api = None

    def end(self):
        for child in self.children:
            child.kill()
            child.wait()
