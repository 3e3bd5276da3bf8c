"""Real deliveries of `nuncio send`, signed, to a receiver that verifies them with the package `standardwebhooks`.

Usage: python standard_webhooks.py PATH/TO/nuncio
"""

import base64
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

# No delivery takes longer, in seconds.
PATIENCE = 30


def secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


class Receiver(ThreadingHTTPServer):
    """Keeps what comes, by path, and is out of order at first where the path says so."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.received = {}
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            received = self.server.received.setdefault(self.path, [])
            received.append((dict(self.headers), body))
        self.send_response(503 if self.path == "/retried" and len(received) == 1 else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


def send(nuncio, targets):
    """Sends a notification to all targets, and returns its id."""
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML.
        config = Path(folder) / "nuncio.yml"
        config.write_text(json.dumps({"retry": {"interval": "1s", "jitter": 0}, "targets": targets}))
        flags = ["--config", config, "--json", "--title", "Überschrift", 'a "body" & more']
        sent = subprocess.run([nuncio, "send", *flags], stdout=subprocess.PIPE, timeout=PATIENCE)
    assert sent.returncode == 0, sent.stdout
    return json.loads(sent.stdout)["id"]


class Deliveries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.old, cls.current, cls.other = secret(), secret(), secret()
        receiver = Receiver()
        threading.Thread(target=receiver.serve_forever, daemon=True).start()

        def hook(name, given, **more):
            sign = {"secrets": given}
            url = f"http://127.0.0.1:{receiver.server_port}/{name}"
            payload = '{"title": $title, "message": $message}'
            return {"name": name, "provider": "webhook", "url": url, "payload": payload, "sign": sign, **more}

        text = {"payload": "$title: $message", "mime_type": "text/plain"}
        hooks = [
            hook("hmac", cls.current),
            hook("rotated", [cls.current, cls.old]),
            hook("retried", [cls.current]),
            hook("text", cls.current, **text),
        ]
        cls.id = send(sys.argv[1], hooks)
        receiver.shutdown()
        receiver.server_close()
        cls.received = receiver.received

    def only(self, name):
        (delivery,) = self.received[f"/{name}"]
        return delivery

    def refuse(self, known, headers, body):
        with self.assertRaises(WebhookVerificationError):
            Webhook(known).verify(body, headers)

    def test_an_hmac_is_verified(self):
        headers, body = self.only("hmac")
        expected = {"title": "Überschrift", "message": 'a "body" & more'}
        self.assertEqual(Webhook(self.current).verify(body, headers), expected)
        self.assertEqual(headers["webhook-id"], self.id)
        self.refuse(self.other, headers, body)
        self.refuse(self.current, headers, body + b" ")
        self.refuse(self.current, {**headers, "webhook-id": "another"}, body)

    def test_while_secrets_rotate_whoever_has_the_old_one_only_verifies_too(self):
        headers, body = self.only("rotated")
        for known in (self.old, self.current):
            Webhook(known).verify(body, headers)
        self.refuse(self.other, headers, body)
        self.refuse(self.old, *self.only("hmac"))

    def test_a_retry_has_the_same_id_and_a_timestamp_and_signature_of_its_own(self):
        first, second = self.received["/retried"]
        for headers, body in (first, second):
            Webhook(self.current).verify(body, headers)
        (first, _), (second, body) = first, second
        self.assertEqual(first["webhook-id"], second["webhook-id"])
        self.assertLess(int(first["webhook-timestamp"]), int(second["webhook-timestamp"]))
        self.refuse(self.current, {**second, "webhook-timestamp": first["webhook-timestamp"]}, body)

    def test_text_is_signed_as_it_is_sent(self):
        headers, body = self.only("text")
        self.assertEqual(body.decode(), 'Überschrift: a "body" & more')
        Webhook(self.current).verify(body, headers, json_parse=False)


if __name__ == "__main__":
    ran = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(ran.failures) + len(ran.errors)
    print(f"standard webhooks, python: {ran.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed or not ran.testsRun else 0)
