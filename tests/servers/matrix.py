"""Messages of `nuncio send` in the rooms of a real Matrix homeserver, Synapse.

Usage: PYTHON matrix.py PATH/TO/nuncio, where PYTHON has Synapse installed
"""

import json
import secrets
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from urllib.parse import quote

import server

NUNCIO = sys.argv[1]


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.port = server.free_port()
        cls.url = f"http://127.0.0.1:{cls.port}"
        listener = {
            "type": "http",
            "port": cls.port,
            "bind_addresses": ["127.0.0.1"],
            "resources": [{"names": ["client", "health"]}],
        }
        generous = {"per_second": 1000, "burst_count": 1000}
        config = {
            "server_name": "hs.test",
            "report_stats": False,
            "signing_key_path": f"{folder}/signing.key",
            "media_store_path": f"{folder}/media",
            "pid_file": f"{folder}/pid",
            "database": {"name": "sqlite3", "args": {"database": f"{folder}/homeserver.db"}},
            "listeners": [listener],
            "trusted_key_servers": [],
            "macaroon_secret_key": secrets.token_hex(16),
            "form_secret": secrets.token_hex(16),
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "rc_registration": generous,
            "rc_message": {"per_second": 1, "burst_count": 3},
        }
        Path(folder, "homeserver.yaml").write_text(json.dumps(config))
        start = [sys.executable, "-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"]
        # Writes what keys are missing, and no more.
        subprocess.run([*start, "--generate-keys"], cwd=folder, check=True, timeout=server.PATIENCE)
        cls.enterClassContext(server.running(start, folder, f"{cls.url}/health"))

    def setUp(self):
        """An account and a room for each test: a server counts what each account sends."""
        account = {"username": f"user-{secrets.token_hex(4)}", "password": secrets.token_hex(8)}
        account["auth"] = {"type": "m.login.dummy"}
        self.token = server.call("POST", f"{self.url}/_matrix/client/v3/register", account)["access_token"]
        self.room = server.call("POST", f"{self.url}/_matrix/client/v3/createRoom", {}, self.token)["room_id"]

    def target(self, **settings):
        common = {"name": "matrix", "provider": "matrix", "url": self.url, "token": self.token, "room": self.room}
        return {**common, **settings}

    def send(self, *words, code=0, **settings):
        with server.configured([self.target(**settings)]) as config:
            return server.nuncio(NUNCIO, "send", "--config", config, "--json", *words, code=code)

    def messages(self):
        """The contents, the oldest first."""
        url = f"{self.url}/_matrix/client/v3/rooms/{quote(self.room)}/messages?dir=f&limit=100"
        events = server.call("GET", url, token=self.token)["chunk"]
        return [event["content"] for event in events if event["type"] == "m.room.message"]

    def test_a_message_is_plain_text_and_html(self):
        self.send("--title", "Disk <full>", "**/var** 98 % & more — 🙂")
        (message,) = self.messages()
        self.assertEqual(
            message,
            {
                "msgtype": "m.text",
                "body": "Disk <full>\n\n/var 98 % & more — 🙂",
                "format": "org.matrix.custom.html",
                "formatted_body": "<p><strong>Disk &lt;full&gt;</strong></p>"
                "<p><strong>/var</strong> 98 % &amp; more — 🙂</p>",
            },
        )

    def test_a_notice_in_plain_text(self):
        self.send("*text*", notice=True, format="plain")
        self.assertEqual(self.messages(), [{"msgtype": "m.notice", "body": "*text*"}])

    def test_a_url_of_apprise_is_a_target(self):
        url = f"matrix://{quote(self.token, safe='')}@127.0.0.1:{self.port}/{self.room}"
        server.nuncio(NUNCIO, "send", "--json", "--url", url, "by its URL")
        self.assertEqual([message["body"] for message in self.messages()], ["by its URL"])

    def test_a_url_of_shoutrrr_is_a_target(self):
        url = f"matrix://:{self.token}@127.0.0.1:{self.port}?rooms={quote(self.room)}&disableTLS=yes"
        server.nuncio(NUNCIO, "send", "--json", "--url", url, "by its URL")
        self.assertEqual([message["body"] for message in self.messages()], ["by its URL"])

    def test_a_message_beyond_the_limit_comes_in_parts_and_in_order(self):
        self.send("".join(f"{n}\n\n" for n in range(15_000)))
        bodies = [message["body"] for message in self.messages()]
        self.assertGreater(len(bodies), 1)
        numbers = [int(line) for body in bodies for line in body.split("\n") if line.isdigit()]
        self.assertEqual(numbers, list(range(15_000)))

    def test_a_repetition_is_no_second_message(self):
        with server.losing_first_reply(self.port) as (port, seen):
            self.send("once", url=f"http://127.0.0.1:{port}")
        self.assertEqual([status for _, status in seen], [200, 200])
        self.assertEqual(seen[0], seen[1])
        self.assertEqual([message["body"] for message in self.messages()], ["once"])

    def test_a_server_that_limits_the_rate_gets_all_in_the_end(self):
        with server.configured([self.target()]) as config:
            for n in range(6):
                server.nuncio(NUNCIO, "send", "--config", config, "--json", f"message {n}")
        self.assertEqual([message["body"] for message in self.messages()], [f"message {n}" for n in range(6)])

    def test_what_the_server_refuses_is_dead_at_once_with_its_reason(self):
        for settings, reason in (({"token": "wrong"}, "M_UNKNOWN_TOKEN"), ({"room": "!none:hs.test"}, "M_FORBIDDEN")):
            with self.subTest(settings):
                sent = self.send("text", code=1, **settings)
                self.assertIn(reason, json.dumps(sent))
                self.assertNotIn(self.token, json.dumps(sent))
        self.assertEqual(self.messages(), [])


if __name__ == "__main__":
    ran = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(ran.failures) + len(ran.errors)
    print(f"matrix: {ran.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed or not ran.testsRun else 0)
