"""A lab's record with everything a report can show, and text that would break out of a page."""
import json
import random

T = 1795636000 * 10**9
HOSTILE = '</script><script>window.hostile=1</script><img src=x onerror="window.hostile=1">&"\'{{title}}'
entries = []
random.seed(7)


def put(kind, machine, **more):
    entry = {"kind": kind, **more}
    if machine:
        entry.update(machine=machine, role=machine.split("-")[0])
    entries.append({key: value for key, value in entry.items() if value is not None})


def event(machine, name, begin, end, steps=(), status=0, **more):
    at, parts, whole = begin, [], sum(weight for _, weight in steps)
    for step, weight in steps:
        to = at + weight / whole * (end - begin)
        parts.append({"name": step, "result": "ok", "begin_ns": T + int(at * 1e9), "end_ns": T + int(to * 1e9)})
        at = to
    put("event", machine, id=f"e-{len(entries)}", event=name, begin_ns=T + int(begin * 1e9), end_ns=T + int(end * 1e9),
        status=status, steps=parts or None, **more)


machines = ["master-1", "log-1", "log-2", "client-1"] + [f"node-{n}" for n in range(1, 11)]
for m in machines:
    event(m, "boot", 0, 5 + 2 * random.random())
    event(m, "reload", 7.2, 7.6 + random.random())
    event(m, "init", 8.8, 27.5 if m == "master-1" else 20 + 3 * random.random(),
          [("write files", 1), ("start docker", 3), (HOSTILE, 14), ("certificates", 2)])
event("master-1", "start", 29, 52, [("etcd", 4), ("wait for the API server", 11), ("add-ons", 6)] + [("x", .2)] * 30)
for m in machines[1:]:
    event(m, "start", 52.1, 54 + 9 * random.random(), [("join", 5), ("wait until Ready", 4)])
event(None, "create", 0, 64)
event(None, "set", 70, 71.5, status=24, text={"en": HOSTILE, "zh-cn": "参数不正确"}, error=HOSTILE)
for n in range(40):
    event("node-1", "check", 200 + 3 * n, 200.4 + 3 * n, status=24 if n == 30 else 0, error="docker is down" if n == 30 else None)
event("node-1", "monitor", 230.1, 231)  # beside a check
put("health", "node-1", health="unhealthy", at_ns=T + int(290.4e9), status=24, error=HOSTILE)
put("health", "node-1", health="healthy", at_ns=T + int(310e9))
put("fault", None, id="f-1", fault="metadata slow", state="begin", at_ns=T + int(240e9), until_ns=T + int(250e9), detail=HOSTILE)
put("fault", "node-1", id="f-2", fault="kill", state="begin", at_ns=T + int(289e9))
put("begin", "node-2", id="e-killed", event="scale_in", begin_ns=T + int(320e9), pid=1, pid_start=1)
entries.sort(key=lambda entry: entry.get("begin_ns", entry.get("at_ns")))
for entry in entries:
    print(json.dumps(entry))
