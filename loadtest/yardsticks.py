"""The yardsticks: servers that answer with as many bytes as jeton does, and do less.

`signature`: a bare hyper server that makes one Ed25519 signature per reply with ed25519-dalek (benches/yardstick.rs);
`aws-lc`: the same with aws-lc-rs; `no-signature`: the same with 64 constant bytes in the signature's place;
`portable`: jeton itself as it is where a machine has no vector instructions for its signatures;
`nginx`: one worker of nginx with a constant reply, which is what the socket and HTTP cost at the least.
"""

import json
import pathlib
import subprocess
import sys

import processes
import servers
from servers import BUILT

# Of the token in jeton's answer: the time and the id in its claims, and its signature, in base64url.
TAIL_CHARS, SIGNATURE_CHARS = 87, 86
SIGNERS = {"signature": "dalek", "aws-lc": "aws-lc", "no-signature": "none"}
NAMES = [*SIGNERS, "portable", "nginx"]


def start(name, home, core, sample):
    """The yardstick of this name, made to answer with as many bytes as `sample`, an answer of jeton."""
    if name == "portable":
        jeton = servers.Jeton(home, core, {"JETON_KEYS__VECTOR_SIGNING": "off"})
        jeton.warm(processes.cores()[1])
        return jeton
    server = Nginx(home, core, sample) if name == "nginx" else Bare(SIGNERS[name], home, core, sample)
    answer = processes.ask(server.address, processes.request(server.address, "-"))
    if len(answer) != len(sample):
        server.stop()
        sys.exit(f"the answers of jeton and {name} differ in length: {len(sample)}, {len(answer)}")
    return server


class Bare(processes.Program):
    """The bare hyper server."""

    def __init__(self, signer, home, core, sample):
        body = sample.split(b"\r\n\r\n", 1)[1]
        token = json.loads(body)["access_token"]
        constant = len(token) - TAIL_CHARS - len(".") - SIGNATURE_CHARS
        tail = len(body) - len('{"access_token":"') - len(token)
        command = [str(BUILT / "examples/yardstick"), "--signature", signer]
        command += ["--constant", str(constant), "--tail", str(tail)]
        super().__init__(processes.pinned(core, command), stdout=subprocess.PIPE, text=True)
        self.home = home
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            sys.exit("the yardstick did not start")


# One worker is the process itself, so that all of its time is the time of that process. POST is answered like GET.
NGINX = """
daemon off;
master_process {master};
worker_processes {workers};
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/json;
  server {{
    listen {address} backlog=4096 reuseport;
    add_header cache-control no-store;
    add_header pragma no-cache;
    return 200 '{body}';
  }}
}}
"""


class Nginx(processes.Program):
    """nginx, whose reply has the header fields of jeton's and its own, and a body that makes up for the difference."""

    def __init__(self, home, core, sample, workers=1):
        self.address = f"127.0.0.1:{processes.free_port()}"
        self.home = home
        folder = pathlib.Path(home.folder.name) / f"nginx-{self.address.rsplit(':', 1)[1]}"
        folder.mkdir()
        fields = {"Server": "nginx", "Date": 29 * "d", "Content-Type": "application/json", "Content-Length": 3 * "0"}
        fields |= {"Connection": "keep-alive", "cache-control": "no-store", "pragma": "no-cache"}
        head = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        body = (len(sample) - len(head)) * "e"
        master = "off" if workers == 1 else "on"
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, address=self.address, body=body, workers=workers, master=master))
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        super().__init__(processes.pinned(core, command))
        processes.wait_for_listener(self.address, self.process)
