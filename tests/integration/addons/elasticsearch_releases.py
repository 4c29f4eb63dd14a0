"""Stands for Elasticsearch of one release (5 to 8), for OpenSearch, or for one that a user may only half read ("guarded"):
what differs between them in what the hooks send. Arguments: RELEASE, a JSON file {"indices": {NAME: {...}}, "aliases":
{ALIAS: NAME}, "now": seconds}. Prints its port; appends each changing request to requests beside the file, and keeps the
file up to date."""
import fnmatch
import http.server
import json
import os
import sys
import urllib.parse

RELEASE, FILE = sys.argv[1:]
VERSIONS = {"5": "5.6.16", "6": "6.8.23", "7": "7.10.2", "8": "8.11.3", "opensearch": "2.11.0", "guarded": "7.17.9"}
CAT_PARAMETERS = {"format", "h", "v", "s", "pri", "bytes", "health", "local", "master_timeout", "help"}
ALIAS_PARAMETERS = {"expand_wildcards", "ignore_unavailable", "allow_no_indices", "local"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, code, body):
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, code, kind, reason):
        self.reply(code, {"error": {"type": kind, "reason": reason}, "status": code})

    def parse(self, known):
        parts = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(parts.query)
        unknown = set(query) - known
        if unknown:
            self.refuse(400, "illegal_argument_exception", f"request [{parts.path}] contains unrecognized parameter: {unknown}")
        return None if unknown else query

    def cat(self, state):
        query = self.parse(CAT_PARAMETERS)
        if query is None:
            return
        if RELEASE == "guarded":
            self.refuse(403, "security_exception", "action [indices:monitor/stats] is unauthorized")
            return
        columns = query["h"][0].split(",")
        if RELEASE == "5":
            columns = [c for c in columns if c != "sth"]
        rows = [{"index": name, "status": "close" if index.get("closed") else "open",
                 "sth": "true" if index.get("frozen") else "false"} for name, index in state["indices"].items()]
        self.reply(200, [{c: row[c] for c in columns} for row in rows])

    def aliases(self, state):
        query = self.parse(ALIAS_PARAMETERS)
        if query is None:
            return
        closed_too = query.get("expand_wildcards", ["all"]) != ["open"]
        self.reply(200, {name: {"aliases": {a: {} for a, of in state["aliases"].items() if of == name}}
                         for name, index in state["indices"].items() if closed_too or not index.get("closed")})

    def do_GET(self):
        state = json.load(open(FILE, encoding="utf-8"))
        path = urllib.parse.urlsplit(self.path).path
        version = {"number": VERSIONS[RELEASE]}
        if RELEASE == "opensearch":
            version["distribution"] = "opensearch"
        if path == "/":
            self.reply(200, {"name": "es", "cluster_name": "c", "version": version})
        elif path == "/_cat/indices":
            self.cat(state)
        elif path == "/_alias":
            self.aliases(state)
        elif path == "/_template" and RELEASE != "guarded":
            self.reply(200, {n: {"version": t["version"]} for n, t in state.get("templates", {}).items()})
        elif path == "/_cluster/stats" and RELEASE != "guarded":
            self.reply(200, {"timestamp": int(state["now"] * 1000), "status": "green"})
        else:
            self.refuse(403 if RELEASE == "guarded" else 404, "not_found", path)

    def do_PUT(self):
        """A template, with what the release wants in it: 5 knows no index_patterns, 7 and later no types."""
        state = json.load(open(FILE, encoding="utf-8"))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(os.path.join(os.path.dirname(FILE), "requests"), "a", encoding="utf-8") as f:
            f.write(f"PUT {self.path}\n")
        patterns = body.pop("template" if RELEASE == "5" else "index_patterns", None)
        mapping = body.get("mappings", {})
        if RELEASE in ("5", "6"):
            mapping = mapping.get("_default_", {})
        if not self.path.startswith("/_template/") or not patterns or set(body) - {"order", "version", "mappings", "settings"}:
            self.refuse(400, "action_request_validation_exception", f"{self.path} {sorted(body)}")
        elif set(mapping) != {"dynamic_templates"}:
            self.refuse(400, "mapper_parsing_exception", "Root mapping definition has unsupported parameters")
        else:
            state.setdefault("templates", {})[self.path[len("/_template/"):]] = body
            with open(FILE, "w", encoding="utf-8") as f:
                json.dump(state, f)
            self.reply(200, {"acknowledged": True})

    def do_DELETE(self):
        state = json.load(open(FILE, encoding="utf-8"))
        with open(os.path.join(os.path.dirname(FILE), "requests"), "a", encoding="utf-8") as f:
            f.write(f"DELETE {self.path}\n")
        wanted = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path[1:])
        gone = set()
        for part in wanted.split(","):
            if part in state["aliases"] and RELEASE != "5":
                self.refuse(400, "illegal_argument_exception", f"[{part}] matches an alias")
                return
            part = state["aliases"].get(part, part)
            gone |= {name for name in state["indices"] if fnmatch.fnmatchcase(name, part)}
        if not gone:
            self.refuse(404, "index_not_found_exception", f"no such index [{wanted}]")
        elif any(state["indices"][name].get("read_only") for name in gone):
            self.refuse(403, "cluster_block_exception", f"index [{wanted}] blocked by: [FORBIDDEN/5/index read-only (api)];")
        else:
            state["indices"] = {n: i for n, i in state["indices"].items() if n not in gone}
            with open(FILE, "w", encoding="utf-8") as f:
                json.dump(state, f)
            self.reply(200, {"acknowledged": True})


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
