"""Nuncio's component in Python: wasmtime runs it, and this asks it what tests/golden/cases.json asks, and
compares the answers with expected.json, byte by byte; tests/golden.rs says what the two files are.

Usage: python golden.py PATH/TO/nuncio.wasm
"""

import difflib
import json
import sys
from pathlib import Path

from brain import Brain, record


def outcome(asked):
    if "failed" in asked:
        return asked["failed"]
    status, headers, body = (asked["reply"][name] for name in ("status", "headers", "body"))
    body = body.encode() if isinstance(body, str) else bytes(body)
    head = "".join(f"{name}: {value}\n" for name, value in headers)
    return record({"status": status, "head": head, "body": body})


def deliver(brain, dispatcher, target, notification, asked):
    """One delivery: each outcome comes at the instant that the verdict before it named."""
    names = [entry["name"] for entry in brain.on(dispatcher, "targets")[1]]
    # Nobody has the last of all numbers.
    where = names.index(target) if target in names else 2**32 - 1
    number, at = asked["attempt"]["number"], int(asked["at"])
    first_tried = int(asked["attempt"]["first-tried"])
    plain = asked["attempt"].get("plain", False)

    def attempt(n, began):
        counts = {"number": number + n, "sent": number + n}
        times = {"queued-at": at, "first-tried": first_tried, "began": began}
        return record({**counts, **times, "level": notification.level, "plain": plain})

    now, entropy, attempts = int(asked["now"]), int(asked["entropy"]), []
    endpoint = brain.call("dispatcher", "untried")[0]
    for name, value in asked["endpoint"].items():
        setattr(endpoint, name, value if value is None else int(value))
    requests = brain.on(dispatcher, "format", where, notification, plain, now)[1]
    for n, given in enumerate(asked["outcomes"]):
        admission, admitted = brain.on(dispatcher, "admit", where, [attempt(n, now)], endpoint, now)
        tried = record({"attempt": attempt(n, now), "outcome": outcome(given), "entropy": entropy})
        judged, written = brain.on(dispatcher, "judge", where, [tried], admission.endpoint, now)
        attempts.append({"now": str(now), "admission": admitted, "judged": written})
        (judgement,), endpoint = judged.judgements, judged.endpoint
        now = judgement.verdict.payload if judgement.verdict.tag == "retry" else now
    return {"target": target, "requests": requests, "attempts": attempts}


def answers_to(cases, brain):
    def text(value):
        return value if isinstance(value, str) else json.dumps(value)
    def read(asked, json_text):
        return brain.call("ingest", "read", json_text, asked["id"], int(asked["at"]))
    def opened(config):
        return brain.call("dispatcher", "[static]dispatcher.open", text(config))
    def answer(asked):
        notification, written = read(asked, text(asked["notification"]))
        decisions = brain.on(dispatcher, "explain", notification)[1]
        routed = brain.on(dispatcher, "route", [notification])[1][0]
        some = {name: getattr(notification, name) or None for name in ("to", "tags")}
        envelope = record({"level": notification.level, **some})
        (taken,) = brain.on(dispatcher, "route-envelopes", [envelope])[1]
        # But for targets whose condition does not hold.
        targets, named = brain.on(dispatcher, "targets")[1], routed["targets"]
        same = [at for at in taken["targets"] if at in named or not targets[at]["has-condition"]]
        assert {**taken, "targets": same} == routed
        chosen = [decision["target"] for decision in decisions if decision["choice"] == "send"]
        asked = {"ask": [], "endpoint": {}, **asked}
        delivered = [deliver(brain, dispatcher, target, notification, asked) for target in chosen + asked["ask"]]
        answer = {"name": asked["name"], "routed": routed, "notification": written["ok"]}
        return {**answer, "decisions": decisions, "deliveries": delivered}

    dispatcher, config = opened(cases["config"])[0], cases["config"]
    used = {target["provider"] for target in config["targets"] + config["providers"]["notification"]}
    catalog = [entry for entry in brain.call("catalog", "providers")[1] if entry["name"] in used]
    return {
        "catalog": [{"name": entry["name"], "origins": entry["origins"]} for entry in catalog],
        "targets": brain.on(dispatcher, "targets")[1],
        "bad-configs": [{"name": bad["name"], "opened": opened(bad["config"])[1]} for bad in cases["bad-configs"]],
        "ingest": [{"name": asked["name"], "read": read(asked, asked["json"])[1]} for asked in cases["ingest"]],
        "cases": [answer(asked) for asked in cases["cases"]],
    }


def write(value):
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def entries(answers):
    """The answers one by one, each with what it is to be called in a report."""
    lists = ("bad-configs", "ingest", "cases")
    named = {f"{part}: {entry['name']}": entry for part in lists for entry in answers[part]}
    return {"catalog": answers["catalog"], "targets": answers["targets"], **named}


golden = Path(__file__).parents[2] / "golden"
answers = answers_to(json.loads((golden / "cases.json").read_bytes()), Brain(sys.argv[1]))
answered, expected = write(answers), (golden / "expected.json").read_bytes().decode()
got, wanted = entries(answers), entries(json.loads(expected))
failed = [name for name in {**wanted, **got} if write(got.get(name)) != write(wanted.get(name))]
if answered != expected:
    failed = failed or ["the same answers, in another order or form"]
    lines = (text.split("\n") for text in (expected, answered))
    print(*failed, *difflib.unified_diff(*lines, "expected", "answered", lineterm=""), sep="\n")
print(f"python host: {len(got) - len(failed)} passed, {len(failed)} failed")
sys.exit(1 if failed else 0)
