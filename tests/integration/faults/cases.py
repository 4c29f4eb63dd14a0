"""The changing events of each role, as killed.py disturbs them: on which machine, with what changed in the metadata."""


def other_parameters(view):
    view["env"]["registry-mirrors"] = "https://other.example.com"
    view["env"]["max_pods"] = "100"
    view["env"]["docker_bip"] = "172.31.0.1/16"


def other_domain(view):
    other_parameters(view)
    view["env"]["api_external_domain"] = "other.example.com"


def leaves(role):
    def change(view):
        instance, host = sorted(view["hosts"][role].items())[-1]
        view["deleting-hosts"] = {role: {instance: host}}
    return change


def this_leaves(role):
    def change(view):
        instance, host = sorted(view["hosts"][role].items())[0]
        view["deleting-hosts"] = {role: {instance: host}}
    return change


def es_server(view):
    """Without log nodes: with them, their Elasticsearch is the one."""
    view["hosts"].pop("log")
    view["env"]["es_server"] = "192.168.0.2:9200"
    view["env"]["keep_log_days"] = "3"


class Case:
    """EVENT of ROLE, on the machine BASE. CHANGE is what the metadata has otherwise. The machine is kept as LEAVES. SETTLES: after a
    power cut the machine is started before the event is repeated, as one that was in use is unless this says otherwise. A
    STATUS of None is any one, the same each time. API is False where no API server may run. LOGS: Elasticsearch's indices
    are compared, too. UNCHANGED: there is nothing to disturb, and why; such an event is run once, and must leave the machine
    as it was."""

    def __init__(self, role, name, event, base=None, change=None, leaves=None, settles=None, status=0, api=True, logs=False,
                 unchanged=None):
        self.role, self.name, self.event, self.base, self.api = role, name, event, base, api
        self.change, self.leaves, self.status = change, leaves, status
        self.settles = base == "start" if settles is None else settles
        self.logs, self.unchanged = logs, unchanged


def of_kubelet(role):
    return [
        Case(role, "init", ["init"], leaves="init"),
        Case(role, "start", ["start"], base="init", leaves="start"),
        Case(role, "stop", ["stop"], base="start", leaves="stop", settles=False),
        Case(role, "start again", ["start"], base="stop"),
        # a new system disk with the old /data
        Case(role, "upgrade", ["upgrade"], base="new image"),
        Case(role, "reload", ["reload"], base="start", change=other_parameters),
        Case(role, "reconcile", ["reconcile"], base="start", change=other_parameters),
        Case(role, "restart", ["restart"], base="start"),
        Case(role, "scale-out", ["scale-out"], base="start", change=other_parameters),
        Case(role, "scale-in", ["scale-in"], base="start", change=leaves("node")),
        Case(role, "prune-images", ["prune-images", '{"max_age_hours": 0}'], base="start"),
        Case(role, "revive", ["revive"], base="broken", settles=False),
        Case(role, "upgrade --check", ["upgrade", "--check"], base="start", unchanged="looks at versions and free space"),
    ]


OF_MASTER = [
    Case("master", "reload of names", ["reload"], base="start", change=other_domain),
    Case("master", "scale-out --check", ["scale-out", "--check"], base="start"),
    Case("master", "scale-in --check", ["scale-in", "--check"], base="start", change=leaves("node"),
         unchanged="evictions are dry runs of the API server's"),
    Case("master", "renew-certs", ["renew-certs"], base="start"),
    Case("master", "backup", ["backup", '{"name": "one"}'], base="start", leaves="backup"),
    Case("master", "backup, the oldest leaves", ["backup", '{"name": "two", "keep": 1}'], base="backup"),
    Case("master", "delete_snapshot", ["delete_snapshot", '{"snapshot_id": "one"}'], base="backup"),
    # No API server comes up after it, so this ends at the wait for it: all that is on the disk has been replaced then.
    Case("master", "restore", ["restore", '{"name": "one"}'], base="restorable", settles=False, status=None, api=False),
    Case("master", "compact-etcd", ["compact-etcd"], base="start"),
    Case("master", "prune-logs", ["prune-logs"], base="start", change=es_server, logs=True),
    Case("master", "destroy", ["destroy"], base="stop"),
]
OF_LOG = [
    Case("log", "destroy", ["destroy"], base="start", change=this_leaves("log"), status=None,
         unchanged="runs before scale-in, which still needs what is here: it looks for copies of the data"),
]
# one table of steps for init, start and upgrade; a restart is a stop, which does nothing, and a start
OF_CLIENT = [
    Case("client", "init", ["init"], leaves="start"),
    Case("client", "start", ["start"], base="start", change=other_parameters),
    Case("client", "upgrade", ["upgrade"], base="start", change=other_parameters),
    Case("client", "restart", ["restart"], base="start", change=other_parameters),
    Case("client", "reload", ["reload"], base="start", change=other_parameters),
    Case("client", "reconcile", ["reconcile"], base="start", change=other_parameters),
    Case("client", "scale-out", ["scale-out"], base="start", change=other_parameters),
    Case("client", "scale-in", ["scale-in"], base="start", change=leaves("node")),
    Case("client", "revive", ["revive"], base="broken", settles=True),
    Case("client", "stop", ["stop"], base="start", unchanged="nothing runs there"),
]
CASES = of_kubelet("master") + OF_MASTER + of_kubelet("node") + [Case("node", "destroy", ["destroy"], base="stop")] + \
    of_kubelet("log") + OF_LOG + OF_CLIENT

# of those that `k8s-ROLE --help` lists: they print, whatever they find
READING = ["check", "monitor", "tab", "metadata", "render", "status", "facts", "admit"]


def of(role):
    return [case for case in CASES if case.role == role]


def missing(role, events):
    """Those of EVENTS, as `k8s-ROLE --help` lists them, that have no case."""
    return sorted(set(events) - set(READING) - {case.event[0] for case in of(role)})
