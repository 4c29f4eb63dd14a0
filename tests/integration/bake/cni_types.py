"""Every CNI plugin that a configuration names must be on the node: in Debian's package, or installed by a pod of the same
add-on. cni_types.py PACKAGED PATH...: PACKAGED lists the plugins of the package, PATHs are CNI configurations and manifests.
Prints each type with where it is named, and a complaint for those that nothing brings."""

import json
import re
import sys

import yaml

BIN = "/opt/cni/bin"
# What the plugin takes where its configuration names nothing (flannel-io/cni-plugin, README.md).
IMPLIED = {"flannel": ["bridge", "host-local"]}
# Installers whose arguments do not name the plugin: the script of hostnic-plus copies /app/hostnic (yunify/hostnic-cni,
# scripts/install_hostnic.sh).
INSTALLERS = {"/app/install_hostnic.sh": "hostnic"}


def types(conf):
    for plugin in conf.get("plugins", [conf]):
        named = plugin.get("type")
        for part in (plugin, plugin.get("delegate", {})):
            yield from filter(None, [part.get("type"), part.get("ipam", {}).get("type")])
        yield from IMPLIED.get(named, [])


def configurations(document):
    """CNI configurations in a ConfigMap."""
    if not isinstance(document, dict) or document.get("kind") != "ConfigMap":
        return
    for text in (document.get("data") or {}).values():
        try:
            conf = json.loads(text)
        except ValueError:
            continue
        if isinstance(conf, dict) and "cniVersion" in conf:
            yield conf


def installed(document):
    """Plugins that the init containers of a workload put into the directory of the kubelet's plugins."""
    pods = ((document or {}).get("spec") or {}).get("template", {}).get("spec", {})
    paths = {v["name"]: v["hostPath"]["path"] for v in pods.get("volumes", []) if "hostPath" in v}
    for container in pods.get("initContainers", []):
        mounts = [m["mountPath"] for m in container.get("volumeMounts", []) if paths.get(m["name"], "").rstrip("/") == BIN]
        words = container.get("command", []) + container.get("args", [])
        for mount in mounts:
            for word in words:
                found = re.fullmatch(re.escape(mount.rstrip("/")) + "/([a-z0-9-]+)", word)
                if found:
                    yield found.group(1)
        if mounts:
            yield from (INSTALLERS[word] for word in words if word in INSTALLERS)


def main():
    packaged = set(sys.argv[1].split())
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if path.endswith(".yaml"):
            documents = list(yaml.safe_load_all(text))
            confs = [conf for document in documents for conf in configurations(document)]
            brought = packaged | {plugin for document in documents for plugin in installed(document)}
        else:
            confs, brought = [json.loads(text)], packaged
        for name in sorted({name for conf in confs for name in types(conf)}):
            print(f"{path}: {name}" + ("" if name in brought else ": nothing brings this plugin"))


main()
