"""Starts a real server on loopback, sends to it with `nuncio send`, and stands in its way."""

import contextlib
import http.client
import json
import socket
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

# No start and no delivery takes longer, in seconds.
PATIENCE = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, folder, health):
    """Runs a server until the block ends; the block begins once it answers `health`."""
    log = Path(folder) / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                with urlopen(health, timeout=5):
                    break
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command[0]} does not answer at {health}:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def call(method, url, body=None, token=None):
    """One JSON request, and what is answered."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, headers, method=method), timeout=PATIENCE) as reply:
        answer = reply.read()
        return json.loads(answer) if answer else None


def nuncio(*words, code=0):
    """Runs the binary, which must end with `code`, and reads the JSON it prints, if any."""
    ran = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
    if ran.returncode != code:
        raise AssertionError(f"ended with {ran.returncode}:\n{ran.stdout.decode()}\n{ran.stderr.decode()}")
    return json.loads(ran.stdout or "null")


@contextlib.contextmanager
def configured(targets, **more):
    """The path of a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML.
        config = Path(folder) / "nuncio.yml"
        retry = {"interval": "1s", "jitter": 0}
        config.write_text(json.dumps({"retry": retry, "targets": targets, **more}))
        yield str(config)


@contextlib.contextmanager
def losing_first_reply(port):
    """A proxy in front of `port` that passes every request on, but hangs up in the place of the first reply."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            server = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            server.request(self.command, self.path, body, dict(self.headers))
            reply = server.getresponse()
            answer = reply.read()
            server.close()
            seen.append((self.path, reply.status))
            self.close_connection = True
            if len(seen) > 1:
                self.send_response(reply.status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        do_POST = do_PUT = pass_on

        def log_message(self, *_):
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy.server_port, seen
    finally:
        proxy.shutdown()
        proxy.server_close()
