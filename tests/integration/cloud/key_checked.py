#!/usr/bin/python3
"""key_checked.py DIRECTORY: what init, start and reload do while the cloud's API does not accept the key. DIRECTORY is for
temporary files. To be run in mount, network and process namespaces of its own: see key_checked.sh."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../faults")

import machine as m
import sites

OTHER_KEY, OTHER_SECRET = "ZZZZZZZZZZZZZZZZZZZZ", "Y1" * 20
# what the API answers (None: nothing, no connection is accepted), the event's status, and the advice in its message
REFUSALS = [("refuses the key", {"ret_code": 1200, "message": "AuthFailure"}, 111, "correct access_key_id and secret_access_key"),
            ("has no quota left", {"ret_code": 2500, "message": "QuotaExceeded"}, 112, "wait an hour"),
            ("does not answer", None, 110, "make sure that an EIP is associated with the VPC")]
tests = []


def result(name, complaints):
    complaints = [line for line in complaints if line]
    tests.append(not complaints)
    print(f"{'not ' if complaints else ''}ok {len(tests)} - {name}")
    for line in complaints:
        print("# " + line.replace("\n", "\n# "))
    sys.stdout.flush()


def hostnic(view):
    """With it each host with a kubelet calls the API itself."""
    view["env"].update(enable_hostnic="true", pod_vxnets="vxnet-pods01 vxnet-pods02")


def flannel(view):
    view["env"].update(enable_hostnic="false")


def other_key(view):
    view["env"].update(access_key_id=OTHER_KEY, secret_access_key=OTHER_SECRET)


def refuse(machine, fault):
    key = m.metadata(machine.role)["env"]
    keys = {key["access_key_id"]: key["secret_access_key"], OTHER_KEY: OTHER_SECRET}
    if fault is None:
        machine.end_cloud()
    else:
        machine.serve_cloud(keys, {"actions": {"*": fault}} if fault else None)


def read(machine, path):
    try:
        with open(f"{machine.root}/{path}") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def state(machine, name):
    return f"{m.STATE[machine.role]}/{name}"


def make_older(machine, name, member):
    """As if what NAME records had been an hour earlier."""
    path = f"{machine.root}/{state(machine, name)}"
    with open(path) as f:
        kept = json.load(f)
    kept[member] -= 3600
    with open(path, "w") as f:
        json.dump(kept, f)


def ends(machine, event, status, *texts):
    """A complaint when EVENT ends otherwise, or does not print each of TEXTS."""
    found, output = machine.event([event])
    wrong = found != status or not all(text in output for text in texts)
    return f"status {found} instead of {status}, or without {texts}: {output}" if wrong else ""


def check_kept(machine, status):
    """A complaint when `check` would see another answer of the API."""
    kept = json.loads(read(machine, state(machine, "cloud.json")) or "{}").get("status")
    return f"cloud.json has status {kept} instead of {status}" if kept != status else ""


def key_of_hostnic(machine, key):
    """A complaint when hostnic, volumes and load balancers have another key."""
    found = read(machine, "etc/qingcloud/client.yaml")
    return "" if key in found else f"client.yaml has not the key {key}: {found}"


def refused(machine):
    for what, fault, status, advice in REFUSALS:
        refuse(machine, fault)
        for event in ("init", "start"):
            machine.boot()
            complaint = ends(machine, event, status, advice)
            written = os.path.exists(f"{machine.root}/etc/qingcloud/client.yaml")
            result(f"{machine.role}: {event} ends with {status} when the API {what}",
                   [complaint or check_kept(machine, status), f"{event} went on and wrote files" if written else ""])


def starts(machine, network):
    """Each start of a machine that the API accepted at init queries again. Where it goes on, it ends at the first step that
    waits for another host: none is there."""
    refuse(machine, {})
    machine.publish(m.metadata(machine.role, network))
    machine.boot()
    complaint = ends(machine, "init", 0)
    result(f"{machine.role}: init accepts a key that the API accepts", [complaint or check_kept(machine, 0)])
    machine.save(machine.work + "/after-init")
    machine.configure("timeouts { api-s = 1 token-s = 1 }\n", directory=machine.root)
    end = (18, "wait for API server: ") if machine.role == "master" else (22, "wait for join token: ")
    for what, fault, status, advice in sorted(REFUSALS, key=lambda refusal: refusal[2] == 111):
        refuse(machine, fault)
        expected = (111, advice) if status == 111 else (*end, advice)
        result(f"{machine.role}, accepted at init: start {'ends with 111' if status == 111 else 'goes on'} when the API {what}",
               [ends(machine, "start", *expected), check_kept(machine, 111 if status == 111 else 0)])
    refuse(machine, {})
    result(f"{machine.role}: start goes on once the API accepts the key again",
           [ends(machine, "start", *end), check_kept(machine, 0)])


def reloads(machine, network):
    """A changed key, on a machine as init left it; NETWORK changes the metadata."""
    old = m.metadata(machine.role)["env"]["access_key_id"]
    machine.boot(machine.work + "/after-init")
    machine.publish(m.metadata(machine.role, lambda view: (network(view), other_key(view))))
    for what, fault, status, advice in REFUSALS:
        refuse(machine, fault)
        complaint = ends(machine, "reload", status, advice)
        owed = json.loads(read(machine, state(machine, "reload-owed.json")) or "{}")
        result(f"{machine.role}: reload ends with {status} when the API {what}, and is owed",
               [complaint or check_kept(machine, status), "" if owed.get("status") == status else f"owed: {owed}",
                # a key that is refused reaches no file; that the cloud does not answer holds nothing else up
                key_of_hostnic(machine, old if status == 111 else OTHER_KEY)])
    refuse(machine, {})
    make_older(machine, "reload-owed.json", "since")
    result(f"{machine.role}: reconcile does not repeat at once what was refused for an hour",
           [ends(machine, "reconcile", 110, "the API is queried again in"), check_kept(machine, 110)])
    make_older(machine, "cloud.json", "time")
    result(f"{machine.role}: reconcile makes up for it once the API answers",
           [ends(machine, "reconcile", 0), check_kept(machine, 0), key_of_hostnic(machine, OTHER_KEY),
            "a reload is still owed" if read(machine, state(machine, "reload-owed.json")) else ""])


def main():
    sites.isolate(sys.argv[1])
    work = sys.argv[1]
    m.network()
    m.client_key(work + "/client-key")
    for role in ("master", "node", "log"):
        machine = m.Machine(f"{work}/{role}", role)
        m.put(machine.lower + "/opt/cni/bin/hostnic", "#!/bin/sh\n", 0o755)
        try:
            machine.serve()
            machine.publish(m.metadata(role, hostnic if role != "master" else None))
            refused(machine)
            starts(machine, flannel if role == "master" else hostnic)
            if role != "log":
                reloads(machine, hostnic if role == "node" else flannel)
        finally:
            machine.end()
    print(f"1..{len(tests)}")
    return not all(tests)


sys.exit(main())
