#!/usr/bin/python3
"""kubelet.py ROOT NODE CLUSTER: what a kubelet does when it starts. With a bootstrap kubeconfig and none of its own it gets
a certificate; then it reports its node. CLUSTER holds the cluster's keys."""

import base64
import os
import re
import subprocess
import sys

import cluster as c

CONFIG = """apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /etc/kubernetes/pki/ca.crt
    server: https://{ip}:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    client-certificate: {pem}
    client-key: {pem}
"""
PEM = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def bootstrap(root, node, pki, ip):
    data = root + "/data"
    directory = data + "/var/lib/kubelet/pki"
    os.makedirs(directory, exist_ok=True)
    pem = directory + "/kubelet-client-current.pem"
    subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    f"/O=system:nodes/CN=system:node:{node}", "-keyout", pem + ".key", "-out", pem + ".csr"],
                   check=True, stderr=subprocess.DEVNULL)
    certificate = subprocess.run(["openssl", "x509", "-req", "-in", pem + ".csr", "-CA", pki + "/ca.crt", "-CAkey",
                                  pki + "/ca.key", "-set_serial", "1", "-days", "365"], check=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    with open(pem + ".key", "rb") as key:
        text = certificate + key.read()
    for name in (".key", ".csr"):
        os.remove(pem + name)
    with open(os.open(pem, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
        f.write(text)
    with open(os.open(data + "/kubernetes/kubelet.conf", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(CONFIG.format(ip=ip, pem=PEM))


def rotate(conf, pem):
    """From the certificate in kubeadm's kubelet.conf to one of its own, as with rotateCertificates."""
    with open(conf) as f:
        parts = [base64.b64decode(re.search(rf"client-{part}-data: (\S+)", text)[1])
                 for text in [f.read()] for part in ("certificate", "key")]
    os.makedirs(os.path.dirname(pem), exist_ok=True)
    with open(os.open(pem, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
        f.write(b"".join(parts))


def main():
    root, node, keys, ip = sys.argv[1:]
    conf = root + "/data/kubernetes/"
    if os.path.exists(conf + "bootstrap-kubelet.conf") and not os.path.exists(conf + "kubelet.conf"):
        bootstrap(root, node, keys + "/pki", ip)
    elif os.path.exists(conf + "kubelet.conf") and not os.path.exists(root + "/data" + PEM):
        rotate(conf + "kubelet.conf", root + "/data" + PEM)
    c.report_node(c.Client(keys, ip), node)


main()
