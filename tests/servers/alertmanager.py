"""Alerts of `nuncio send` in a real Alertmanager.

Usage: python alertmanager.py PATH/TO/nuncio PATH/TO/prometheus-alertmanager
       python alertmanager.py PATH/TO/nuncio FOLDER, where Debian's packages are unpacked, which is its root then
"""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

import server

NUNCIO, ALERTMANAGER = sys.argv[1], Path(sys.argv[2]).resolve()


def command():
    """Debian's Alertmanager has its templates at a fixed place, so that it needs a root of its own."""
    if ALERTMANAGER.is_file():
        return [ALERTMANAGER]
    root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    return [*root, "chroot", ALERTMANAGER, "/usr/bin/prometheus-alertmanager"]


class Alerts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        root = ALERTMANAGER if ALERTMANAGER.is_dir() else Path("/")
        within = root / "tmp"
        within.mkdir(exist_ok=True)
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(dir=within)))
        seen = Path("/") / folder.relative_to(root)
        # One receiver that tells nobody, and alerts that end by themselves after an hour.
        config = {"global": {"resolve_timeout": "1h"}, "route": {"receiver": "none"}, "receivers": [{"name": "none"}]}
        (folder / "alertmanager.yml").write_text(json.dumps(config))
        cls.port = server.free_port()
        cls.url = f"http://127.0.0.1:{cls.port}"
        flags = [f"--config.file={seen}/alertmanager.yml", f"--storage.path={seen}/data"]
        flags += [f"--web.listen-address=127.0.0.1:{cls.port}", "--cluster.listen-address="]
        cls.enterClassContext(server.running([*command(), *flags], folder, f"{cls.url}/-/ready"))

    def send(self, *words, url=None, code=0, **settings):
        target = {"name": "alertmanager", "provider": "alertmanager", "url": url or self.url, **settings}
        with server.configured([target]) as config:
            return server.nuncio(NUNCIO, "send", "--config", config, "--json", *words, code=code)

    def alerts(self, key):
        """Those that are active."""
        found = server.call("GET", f"{self.url}/api/v2/alerts?active=true")
        return [alert for alert in found if alert["labels"]["key"] == key]

    def test_an_alert_is_listed_with_its_labels_and_annotations(self):
        labels = {"alertname": "Disk", "severity": "critical", "labels": {"team": "ops é"}}
        words = ["--level", "error", "--key", "disk/1", "--link", "https://grafana.example/d/1?a=1&b=2"]
        self.send(*words, "--title", "Disk is *full*", "**/var** 98 % — 🙂 <b>", **labels)
        (alert,) = self.alerts("disk/1")
        self.assertEqual(
            alert["labels"], {"alertname": "Disk", "severity": "critical", "key": "disk/1", "team": "ops é"}
        )
        expected = {"summary": "Disk is *full*", "description": "/var 98 % — 🙂 <b>", "level": "error"}
        self.assertEqual(alert["annotations"], expected)
        self.assertEqual(alert["generatorURL"], "https://grafana.example/d/1?a=1&b=2")
        self.assertEqual(alert["status"]["state"], "active")

    def test_what_resolves_a_key_ends_its_alert_and_no_other(self):
        for key in ("web", "db"):
            self.send("--level", "error", "--key", key, "down")
        self.send("--level", "info", "--resolves", "web", "up again")
        self.assertEqual(self.alerts("web"), [])
        self.assertEqual(len(self.alerts("db")), 1)

    def test_the_same_key_twice_is_one_alert(self):
        for text in ("once", "twice"):
            self.send("--key", "same", text)
        (alert,) = self.alerts("same")
        self.assertEqual(alert["annotations"]["description"], "twice")

    def test_a_repetition_is_no_second_alert(self):
        with server.losing_first_reply(self.port) as (port, seen):
            self.send("--key", "repeated", "text", url=f"http://127.0.0.1:{port}")
        self.assertEqual([status for _, status in seen], [200, 200])
        self.assertEqual(len(self.alerts("repeated")), 1)

    def test_long_and_odd_text_is_taken(self):
        text = "\u202eשלום " + "é🙂\u0007\\\"<&>" * 2_000
        self.send("--key", "odd", "--title", "t" * 3_000, text)
        (alert,) = self.alerts("odd")
        self.assertEqual(alert["annotations"]["summary"], "t" * 3_000)
        self.assertIn("שלום", alert["annotations"]["description"])

    def test_a_label_it_refuses_is_found_before_anything_is_sent(self):
        self.send("text", code=2, labels={"1st": "a"})


if __name__ == "__main__":
    ran = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(ran.failures) + len(ran.errors)
    print(f"alertmanager: {ran.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed or not ran.testsRun else 0)
