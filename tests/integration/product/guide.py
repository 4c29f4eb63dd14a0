"""What the user guide tells a user to do, against what the scenarios do.

guide.py commands GUIDE   its commands, addresses and queries, a line each; what a user puts in (NODE-ADDRESS, in Chinese
                          节点地址) is NAME
guide.py unrun GUIDE      those that no scenario runs as they stand there, and excuses that no longer hold
guide.py samples          sample files that no scenario applies or runs where they lie
"""
import glob
import re
import sys

# What the lab cannot do as it stands in the guide, and why.
EXCUSED = {
    "kubectl patch volumesnapshots.v1alpha1.snapshot.storage.k8s.io NAME --type=merge -p '{\"metadata\": {\"finalizers\": null}}'":
        "no new cluster has snapshots of v1alpha1; addons_manifests_test makes one in a real API server and runs it",
    "kubectl delete volumesnapshots.v1alpha1.snapshot.storage.k8s.io NAME":
        "the same",
}
# Samples that no scenario uses, and why.
UNUSED = {}
NAME = "NAME"


def scenario_lines():
    """The actions of all scenarios that tests/run runs, without comments and headers."""
    for path in sorted(glob.glob("tests/e2e/*/scenario")):
        with open(path, encoding="utf-8") as scenario:
            lines = scenario.read().splitlines()
        if not any(line.startswith("by-hand:") for line in lines):
            yield from (line for line in lines if re.match(r"(run|wait-until|here|commands|copy) ", line))


def is_address(text):
    return re.match(r"https?://", text) is not None


def is_query(text):
    return re.match(r"[a-z_]+\{", text) is not None


def is_command(text):
    return (re.match(r"[a-z][a-z0-9./-]* \S", text) is not None
            or re.fullmatch(r"k8s-(?!hooks$)[a-z]+|[a-z/]+[.]sh", text) is not None)


def read(path):
    """Its blocks' lines as (who, command), None for a block of no machine; and what is between ` in the text."""
    blocks, prose, who, inside = [], [], None, False
    with open(path, encoding="utf-8") as guide:
        for line in guide.read().splitlines():
            if line.startswith("```"):
                inside = not inside
                who = line.partition("```sh ")[2] or None
            elif inside:
                blocks.append((who, re.sub(r"\s+#.*", "", line)))
            else:
                prose.append(line)
    spans = re.findall(r"`([^`]+)`", " ".join(prose))
    return blocks, [text for text in spans if is_command(text) or is_address(text) or is_query(text)]


def general(command):
    return re.sub(r"[A-Z][A-Z-]{2,}|[^\x00-\x7f]+", NAME, command.strip())


def pattern(command):
    value = r"[^ '\"/:]+" if is_address(command) else r"[^ '\"]+"
    text = re.escape(command).replace(NAME, value)
    if is_address(command) or is_query(command):
        return re.compile(text)
    # nothing more may be said to the program than the guide says
    return re.compile(r"(^|[ /'\"(])" + text + r"( *$| *[|;&)'\"])")


def commands(path):
    blocks, spans = read(path)
    return [general(command) for _, command in blocks] + [general(text) for text in spans]


def unrun(path):
    lines = list(scenario_lines())
    whole_blocks = {line.split()[1] for line in lines if re.match(r"commands \S+ docs/user-guide.md$", line)}
    blocks, spans = read(path)
    wanted = [general(command) for who, command in blocks if who not in whole_blocks] + [general(text) for text in spans]
    for command in dict.fromkeys(wanted):
        run = any(pattern(command).search(line) for line in lines)
        if run and command in EXCUSED:
            yield "excused, but a scenario runs: " + command
        if not run and command not in EXCUSED:
            yield "no scenario runs: " + command
    for command in EXCUSED:
        if command not in wanted:
            yield "excused, but not in the guide: " + command


def samples():
    lines = list(scenario_lines())
    root = "templates/client/sample/"
    for path in sorted(glob.glob(root + "*/*")):
        name = path[len(root):].removesuffix(".mustache")
        folder = name.split("/")[0]
        if name not in UNUSED and name.endswith((".yaml", ".sh")):
            whole = "" if name.endswith(".sh") else f"|{folder}/?"
            used = re.compile(rf"(sh|-f|sed \S+) /opt/kubernetes/sample/({re.escape(name)}{whole})( |$)")
            if not any(used.search(line) for line in lines):
                yield "no scenario uses /opt/kubernetes/sample/" + name


if len(sys.argv) == 3 and sys.argv[1] == "commands":
    print("\n".join(commands(sys.argv[2])))
elif len(sys.argv) == 3 and sys.argv[1] == "unrun":
    print("\n".join(unrun(sys.argv[2])))
elif sys.argv[1:] == ["samples"]:
    print("\n".join(samples()))
else:
    sys.exit(__doc__)
