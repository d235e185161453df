#!/usr/bin/env python3
"""Makes grafana/pictures/*.png: the dashboards with real figures of a server under load.

    python3 grafana/render/pictures.py [--minutes 4] [--keep FOLDER]

Builds and boots `jeton serve`, scrapes it with a real Prometheus, loads it by loadgen at rates that rise and fall, and
does one of everything else beside it (wrong secrets, introspection, revocation, a key rotation). Then asks Prometheus
what each panel asks, and draws the answers with Grafana's own components (@grafana/ui) in a headless Chromium. It is no
Grafana: the panels' code between data and component is page.jsx, and the heat map is drawn there by hand.

Needs prometheus, chromium-headless-shell and pngquant (Debian packages) and Node 20 with npm; some 460 MB of packages
are fetched into grafana/render/node_modules. With JETON_SKIP_BUILD=1 it takes the release as it is built. Of this
script tests look at the names it uses, no more: see that pictures are well with your own eyes.
"""

import argparse
import base64
import contextlib
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "loadtest"))
import open_loop  # noqa: E402
import processes  # noqa: E402
import servers  # noqa: E402

SCRAPE, STEP = 2, 4
# Requests per second at the ends of what they rise and fall along: of a core less than half, so that a machine that
# does other work as well shows what the server takes and not what it waits for.
RATES = (500, 4000, 12_000, 3000, 8000, 1000)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT = "grant_type=client_credentials"
# Clients whose tokens are signed in another way than most.
SLOWER = ("es256", "rs256")
SETTINGS = {"JETON_LIMITS__CLIENT_FAILURES": "10", "JETON_KEYS__JWKS_MAX_AGE": "0s", "JETON_KEYS__CLOCK_SKEW": "0s",
            "JETON_STORE__OUTAGE_GRACE": "1s"}


def basic(client, secret=None):
    """An Authorization value."""
    pair = f"{client['client_id']}:{secret or client['client_secret']}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()} | FORM


def visit(address, clients, token=""):
    """One of everything that is no plain token request; a token for the next visit."""
    connection = http.client.HTTPConnection(address, timeout=10)

    def ask(method, path, body=None, headers=None):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    usual, resource = clients["usual"], clients["resource"]
    for name in SLOWER:
        ask("POST", "/oauth2/token", GRANT, basic(clients[name]))
    post = f"{GRANT}&client_id={usual['client_id']}&client_secret={usual['client_secret']}"
    ask("POST", "/oauth2/token", post, FORM)
    for client, secret, form in ((usual, "wrong", GRANT), ({"client_id": "nobody"}, "x", GRANT),
                                 (usual, None, "grant_type=password"), (usual, None, GRANT + "&scope=more")):
        ask("POST", "/oauth2/token", form, basic(client, secret))
    status, body = ask("POST", "/oauth2/token", GRANT, basic(usual))
    for path in ("/.well-known/jwks.json", "/.well-known/openid-configuration", "/admin"):
        ask("GET", path)
    for held in filter(None, [token]):
        ask("POST", "/oauth2/introspect", "token=" + held, basic(resource))
        ask("POST", "/oauth2/revoke", "token=" + held, basic(usual))
    fresh = json.loads(body).get("access_token", "") if status == 200 else ""
    if fresh:
        ask("POST", "/oauth2/introspect", "token=" + fresh, basic(resource))
    connection.close()
    return fresh


def visit_often(address, clients, over):
    """Visits until it is over."""
    token = ""
    while not over.wait(0.15):
        token = visit(address, clients, token)


def wait_for_keys(address, clients):
    """Returns once every algorithm has a key that signs; a first key has to become known before it does."""
    end = time.monotonic() + 60
    for name in SLOWER:
        while token(address, clients[name]) is None:
            if time.monotonic() > end:
                sys.exit(f"there is no key for {name}")
            time.sleep(0.1)


def token(address, client):
    """A token, or nothing."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", "/oauth2/token", GRANT, basic(client))
    answer = json.load(connection.getresponse())
    connection.close()
    return answer.get("access_token")


class Prometheus(processes.Program):
    """Scrapes one server."""

    def __init__(self, target, folder):
        self.address = f"127.0.0.1:{processes.free_port()}"
        text = f"global: {{scrape_interval: {SCRAPE}s}}\nscrape_configs:\n  - job_name: jeton\n"
        text += f"    static_configs: [{{targets: ['{target}']}}]\n"
        (folder / "prometheus.yml").write_text(text)
        super().__init__(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                          f"--web.listen-address={self.address}", "--log.level=error"])
        processes.wait_for_listener(self.address, self.process)

    def range(self, query, start, end):
        """What a panel would be given."""
        text = {"query": query, "start": start, "end": end, "step": STEP}
        with urllib.request.urlopen(f"http://{self.address}/api/v1/query_range?{urllib.parse.urlencode(text)}") as answer:
            return json.load(answer)["data"]["result"]


class Home(servers.Home):
    """A store whose commands know the settings as well: whoever adds a client plans the first key of its algorithm."""

    def settings(self):
        return SETTINGS


def load(jeton, core, seconds):
    """Load that rises and falls, for some seconds."""
    each = max(1, round(seconds / (len(RATES) - 1)))
    for lower, upper in zip(RATES, RATES[1:]):
        options = ["--rate", f"{lower}..{upper}", "--duration", f"{each}s", "--connections", "32"]
        open_loop.run(jeton, core, f"{lower}/s to {upper}/s", options)


def record(minutes, folder):
    """Boots, loads, and writes one file of answers for each dashboard."""
    core, load_core = processes.cores()
    with Home(1000) as home:
        add = lambda *more: json.loads(home.run(["client", "add", "x", "--scope", "a b", *more, "-o", "json"]))  # noqa: E731
        clients = {"usual": add(), "es256": add("--alg", "ES256"), "rs256": add("--alg", "RS256"),
                   "resource": add("--serves", "https://issuer.example.com")}
        settings = {"JETON_AUDIT__OUTPUT": f"{home.folder.name}/audit.log", "JETON_AUDIT__TOKENS": "1/100"}
        with servers.Jeton(home, core, settings) as jeton:
            threading.Thread(target=drain, args=(jeton,), daemon=True).start()
            wait_for_keys(jeton.address, clients)
            with Prometheus(jeton.ops, folder) as prometheus, visits(jeton.address, clients):
                start = time.time()
                load(jeton, load_core, 30 * minutes)
                home.run(["key", "rotate"])
                load(jeton, load_core, 30 * minutes)
                ask_all(prometheus, start + 12, time.time(), folder)


@contextlib.contextmanager
def visits(address, clients):
    """Visits beside everything else; one that fails ends them, and then there are no pictures."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        visitor = pool.submit(visit_often, address, clients, over)
        try:
            yield
        finally:
            over.set()
        visitor.result()


def drain(program):
    """Reads what a server says, so that it is never held up."""
    for _ in program.process.stderr:
        pass


def ask_all(prometheus, start, end, folder):
    """Every query of every dashboard."""
    place = {"$__rate_interval": "10s", "$__range": f"{int(end - start)}s", "$job": "jeton", "$instance": ".+"}
    for path in sorted((HERE.parent / "dashboards").glob("*.json")):
        board, answers = json.loads(path.read_text()), {}
        for panel in board["panels"]:
            answers[panel["id"]] = {}
            for target in panel.get("targets", []):
                query = target["expr"]
                for name, value in place.items():
                    query = query.replace(name, value)
                answers[panel["id"]][target["refId"]] = prometheus.range(query, start, end)
        picture = {"dashboard": board, "answers": answers, "start": start, "end": end}
        (folder / path.name).write_text(json.dumps(picture))


def bundle(folder):
    """Grafana's components and the page, as one script."""
    if not (HERE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--legacy-peer-deps"], cwd=HERE, check=True)
    subprocess.run([HERE / "node_modules/.bin/esbuild", "page.jsx", "--bundle", "--minify", "--jsx=automatic",
                    f"--outfile={folder}/page.js", '--define:process.env.NODE_ENV="production"', "--loader:.svg=dataurl",
                    "--loader:.woff2=dataurl", "--loader:.ttf=empty", "--log-level=error"], cwd=HERE, check=True)


def draw(folder, pictures):
    """One picture for each file of answers."""
    pictures.mkdir(exist_ok=True)
    for path in sorted(folder.glob("jeton-*.json")):
        height = 64 + 38 * max(panel["gridPos"]["y"] + panel["gridPos"]["h"]
                               for panel in json.loads(path.read_text())["dashboard"]["panels"])
        page = folder / f"{path.stem}.html"
        page.write_text(f'<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css"><body style="margin:0">'
                        f'<div id="root"></div><script>window.picture={path.read_text()}</script>'
                        f'<script src="page.js"></script>')
        target = pictures / f"{path.stem.removeprefix('jeton-')}.png"
        subprocess.run(["chromium-headless-shell", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=1",
                        f"--window-size=1440,{height}", "--virtual-time-budget=6000", f"--screenshot={target}",
                        "--allow-file-access-from-files", page.as_uri()], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["pngquant", "--force", "--strip", "--speed=1", "--output", target, "96", target], check=True)
        processes.say(f"{target}: {target.stat().st_size // 1024} KiB")


def main():
    """Records, bundles, draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--keep", type=pathlib.Path, help="where answers are kept, or drawn from when they are there")
    options = parser.parse_args()
    for program in ("prometheus", "chromium-headless-shell", "pngquant", "node", "npm", "taskset"):
        processes.need(program)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or pathlib.Path(temporary)
        folder.mkdir(exist_ok=True)
        if not list(folder.glob("jeton-*.json")):
            servers.build()
            open_loop.build()
            record(options.minutes, folder)
        bundle(folder)
        draw(folder, HERE.parent / "pictures")


if __name__ == "__main__":
    main()
