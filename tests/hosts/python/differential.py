"""Nuncio and Apprise are given the same URLs and the same notifications: what each would send is compared.

Apprise's own plugins send, and what they hand to `requests` is kept in place of being sent. Nuncio's component
reads the URL and formats, and this puts the request together as a host does. Then both must agree on

- the method, the origin and the path;
- every value that stands at the same place of both: in the query, a header, the login, JSON, a form, XML;
- every value that comes from the URL: credentials, receivers, options. None may be on one side only;
- where the title and the body are.

`differential/urls.json` has the URLs of each provider, and `differential/differences.json` what may differ, and why.
A difference that is not listed there fails, and so does one that is listed and does not occur. Before they are
compared, requests are normalised: see `NORMALISED`, `IGNORED` and `words`.

Usage: python differential.py PATH/TO/nuncio.wasm [--allow-missing] [PROVIDER...]
"""

import base64
import hashlib
import hmac
import html
import json
import os
import re
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree

# No other account's name and password.
os.environ["NETRC"] = os.devnull

import requests
from apprise import Apprise, AppriseAsset, NotifyFormat
from apprise.plugins.base import NotifyBase

from brain import Brain

# The instant of all requests, in seconds.
NOW = 1_700_000_000

TABLES = Path(__file__).parent / "differential"

# Nothing in them is markup, as both would read that in ways of their own.
NOTIFICATIONS = [
    {"type": "info", "level": "info", "title": "Backup finished", "body": "All 42 files were copied."},
    {"type": "warning", "level": "warn", "title": "", "body": "The disk is nearly full."},
    {
        "type": "failure",
        "level": "error",
        "title": "5 < 6 & \"so\" 'on', 100% sûr",
        "body": "a_b & c < d > e \"f\" 'g' 100% #1 C:\\dir [x] {y} 3 * 4 é 漢字 🚀 ?&=+;|~ @home",
    },
    {
        "type": "success",
        "level": "info",
        "title": "A longer text",
        "body": "\n\n".join(f"Paragraph {n} says that item {n} of 12 was done." for n in range(1, 13)),
    },
]

# What differs from one request to the next, and what is left of it.
NORMALISED = [
    # Matrix: the transaction's name is the client's own.
    (re.compile(r"(/send/m\.room\.message/).+$"), r"\1*"),
    # And the room that Apprise joins.
    (re.compile(r"(/v3/join/).+$"), r"\1*"),
]

# Headers that say how a client speaks, and nothing of the message.
IGNORED = {"accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent"}

# Where Apprise has pictures of its own, which it adds to messages.
APPRISE_PICTURES = "github.com/caronc/apprise/"


class Kept(Exception):
    """Something tried to get out."""


def refuse(*_, **__):
    raise Kept("there is no network here")


class Wire:
    """Takes what Apprise sends, and answers as the service would."""

    def __init__(self):
        self.sent = []
        wire = self

        def send(adapter, request, **_):
            wire.sent.append(request)
            return wire.reply(request)

        requests.adapters.HTTPAdapter.send = send
        socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
        NotifyBase.throttle = lambda *_, **__: None
        time.sleep = lambda _: None
        time.time = lambda: float(NOW)

    @staticmethod
    def reply(request):
        reply = requests.Response()
        reply.status_code, reply.request, reply.url = 200, request, request.url
        # Of each service what its plugin wants to see.
        room = unquote(request.url).rpartition("/join/")[2]
        said = {"ok": True, "requestId": "r1", "room_id": room, "user_id": "@user:server"}
        said |= {"access_token": "given", "status": "success", "data": {"authToken": "given", "userId": "user1"}}
        reply._content = b"ok" if "hooks.slack" in request.url else json.dumps(said).encode()
        return reply

    def take(self, url, notification):
        """The requests by which Apprise delivers it."""
        self.sent = []
        apprise = Apprise(asset=AppriseAsset(async_mode=False))
        assert apprise.add(url), f"Apprise does not read {url}"
        text = {"title": notification["title"], "body": notification["body"]}
        delivered = apprise.notify(**text, notify_type=notification["type"], body_format=NotifyFormat.TEXT)
        assert delivered or not self.sent, f"Apprise does not deliver to {url}"
        return [Sent(r.method, r.url, dict(r.headers), r.body) for r in self.sent]


class Nuncio:
    """The component, and the host's part of it."""

    def __init__(self, path):
        self.path, self.brain = path, Brain(path)
        entries = self.brain.call("catalog", "providers")[1]
        self.catalog = {entry["name"]: entry for entry in entries}

    def read(self, url):
        """The targets of a URL, or what is wrong with it."""
        return self.brain.call("catalog", "from-url", url, "apprise")[1]

    def take(self, settings, notification):
        """The requests by which it delivers a notification to a target."""
        provider = self.catalog[settings["provider"]]
        schema, secrets = json.loads(provider["settings-schema"]), {}
        config = {"targets": [{"name": "target", **hide(schema, schema, settings, "target", secrets)}]}
        dispatcher, opened = self.brain.call("dispatcher", "[static]dispatcher.open", json.dumps(config))
        assert "err" not in opened, f"{settings['provider']}: {opened['err']}"
        said = {"id": "id1", **{name: notification[name] for name in ("level", "title", "body")}}
        value, said = self.brain.call("ingest", "read", json.dumps(said), "id1", NOW * 1000)
        assert "err" not in said, said
        formatted = self.brain.on(dispatcher, "format", 0, value, False, NOW * 1000)[1]
        assert "ok" in formatted, formatted
        return [assemble(request, secrets) for request in formatted["ok"]]


def hide(root, schema, value, name, secrets):
    """Settings with a reference in the place of each secret, which goes into `secrets`."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    if schema.get("writeOnly"):
        secrets[name] = value
        return {"$secret": name}
    for schema in [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]:
        if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
            known, other = schema.get("properties", {}), schema.get("additionalProperties") or {}
            schemas = {key: known.get(key, other if isinstance(other, dict) else {}) for key in value}
            return {key: hide(root, schemas[key], item, f"{name}/{key}", secrets) for key, item in value.items()}
        if isinstance(value, list) and "items" in schema:
            each = enumerate(value)
            return [hide(root, schema["items"], item, f"{name}/{n}", secrets) for n, item in each]
        if schema.get("writeOnly") and isinstance(value, str):
            secrets[name] = value
            return {"$secret": name}
    return value


def escaped(text, escape):
    match escape:
        case "percent":
            return quote(text, safe="")
        case "json":
            return json.dumps(text, ensure_ascii=False)[1:-1]
        case _:
            return text


def assemble(request, secrets):
    """A request as a host sends it."""
    def joined(atoms, body=None):
        def atom(atom):
            match atom:
                case {"text": text}:
                    return text
                case {"secret": name}:
                    return secrets[name]
                case "request-body" if body is not None:
                    return body
            raise ValueError(atom)
        return "".join(map(atom, atoms)).encode()

    def written(text, insertions, body=None, is_url=False):
        def insertion(what):
            match what:
                case {"secret": secret}:
                    return escaped(secrets[secret["name"]], secret["escape"])
                case {"base64": atoms}:
                    made = base64.b64encode(joined(atoms)).decode()
                case {"hmac-sha256": signed}:
                    key = joined(signed["key"])
                    if signed["key-form"] != "text":
                        prefixed = signed["key-form"] == "prefixed-base64"
                        key = base64.b64decode(key.split(b"_", 1)[-1] if prefixed else key)
                    tag = hmac.new(key, joined(signed["message"], body), hashlib.sha256)
                    made = tag.hexdigest() if signed["hex"] else base64.b64encode(tag.digest()).decode()
                case _:
                    raise ValueError(what)
            return quote(made, safe="") if is_url else made
        # Places are counted in bytes.
        text, done, made = text.encode(), 0, ""
        for given in insertions:
            made += text[done:given["at"]].decode() + insertion(given["what"])
            done = given["at"]
        return made + text[done:].decode()

    body = written(**request["body"])
    url = written(**request["url"], is_url=True)
    query = "&".join(quote(p["name"], safe="") + "=" + quote(p["value"], safe="") for p in request["query"])
    url += ("&" if "?" in url else "?") + query if query else ""
    # No secret has a line break in it, or this would be another header.
    lines = written(**request["head"], body=body).split("\n")[:-1]
    headers = dict(line.split(": ", 1) for line in lines)
    return Sent(request["method"].upper(), url, headers, body)


class Sent:
    """A request, taken apart."""

    def __init__(self, method, url, headers, body):
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        self.method, self.origin, self.path = method, f"{parts.scheme}://{parts.hostname}:{port}", unquote(parts.path)
        for form, left in NORMALISED:
            self.path = form.sub(left, self.path)
        # What stands at each place, as text.
        self.places = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            self.put(f"query {name}", value)
        kind = ""
        for name, value in headers.items():
            value, name = value if isinstance(value, str) else value.decode(), name.lower()
            if name == "content-type":
                kind = value.lower()
            elif name == "authorization" and value.startswith("Basic "):
                login = base64.b64decode(value[6:])
                try:
                    user, _, password = login.decode().partition(":")
                except UnicodeDecodeError:
                    # So `requests` writes a login.
                    user, _, password = login.decode("latin-1").partition(":")
                self.put("login user", user)
                self.put("login password", password)
            elif name not in IGNORED:
                self.put(f"header {name}", value)
        self.read(body.decode() if isinstance(body, bytes) else body or "", kind)

    def put(self, place, value):
        """Puts a value, or what is in it, at a place."""
        match value:
            case None | "" | []:
                pass
            case dict():
                for name, item in value.items():
                    self.put(f"{place}/{name}", item)
            case list():
                for item in value:
                    # One text and a list of it say the same.
                    self.put(f"{place}/*" if isinstance(item, (dict, list)) else place, item)
            case str() if place.startswith("form ") and is_json(value):
                self.put(place, json.loads(value))
            case bool():
                self.put(place, "true" if value else "false")
            case str() if APPRISE_PICTURES in value:
                pass
            case _:
                self.places.setdefault(place, []).append(str(value))

    def read(self, body, kind):
        if "form-urlencoded" in kind:
            for name, value in parse_qsl(body, keep_blank_values=True):
                self.put(f"form {name}", value)
        elif "json" in kind or body.startswith("{"):
            self.put("", json.loads(body))
        elif "xml" in kind:
            for element in ElementTree.fromstring(body).iter():
                self.put(f"xml {element.tag.split('}')[-1]}", (element.text or "").strip())
        else:
            self.put("text", body)

    def saying(self, text):
        """The places that say a text."""
        return {place for place, values in self.places.items() if any(says(value, text) for value in values)}


def is_json(text):
    """Whether the field of a form is JSON: an object, a list, or a text in quotes."""
    try:
        return text[:1] in ("{", "[", '"') and json.loads(text) is not None
    except ValueError:
        return False


def words(text):
    """A text without what a service wants around it: white space, escapes, zero-width spaces."""
    return re.sub(r"[\s\u200b\u2060]+", " ", text).strip()


def says(value, text):
    """Whether a value holds a text: as it is, as HTML, or with a backslash before its punctuation."""
    plain = html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", " ", value))
    unescaped = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", value)
    wanted = words(text).replace(" ", "")
    forms = (value, plain, unescaped, html.unescape(unescaped))
    return bool(wanted) and any(wanted in words(form).replace(" ", "") for form in forms)


def pieces(url):
    """What a URL says, piece by piece; short words and numbers could stand anywhere."""
    found = re.split(r"[/?&=,:@#;]|\+(?=\w)", url.split("://", 1)[1])
    found += [unquote(piece) for piece in found]
    return {piece for piece in found if len(piece) > 3 and piece not in {"high", "emergency", "true"}}


def compare(theirs, ours, notification, named):
    """How two requests differ, each difference in a few words."""
    for what in ("method", "origin", "path"):
        if getattr(theirs, what) != getattr(ours, what):
            yield f"{what}: {getattr(theirs, what)}, here {getattr(ours, what)}"
    of_text = set()
    for what in ("title", "body"):
        if not notification[what]:
            continue
        there, here = theirs.saying(notification[what]), ours.saying(notification[what])
        of_text |= there | here
        if not there & here:
            yield f"{what}: {in_words(there)}, here {in_words(here)}"
    there = {place: sorted(values) for place, values in theirs.places.items() if place not in of_text}
    here = {place: sorted(values) for place, values in ours.places.items() if place not in of_text}
    for place in there.keys() & here.keys():
        if there[place] != here[place]:
            yield f"{place}: {','.join(there[place])}, here {','.join(here[place])}"
    is_named = lambda values: any(piece in value for piece in named for value in values)
    left = {place for place in here.keys() - there.keys() if is_named(here[place])}
    for place in sorted(there.keys() - here.keys()):
        if not is_named(there[place]):
            continue
        same = sorted(other for other in here if holds(here[other], there[place]))
        yield f"{place}: here {same[0]}" if same else f"{place}: not here"
        left -= set(same[:1])
    for place in left:
        same = sorted(other for other in there if holds(there[other], here[place]))
        yield f"{place}: {same[0]} there" if same else f"{place}: not there"


def holds(values, others):
    """Whether one is said by the other."""
    def within(one, other):
        return one == other or len(one) > 3 and one in other
    return any(within(one, other) or within(other, one) for one in values for other in others)


def weight(found):
    """How much two requests differ: another value more than another place for it."""
    return sum(2 if re.search(": .+, here ", what) else 1 for what in found)


def in_words(places):
    return " and ".join(sorted(places)) or "nowhere"


def differences(wire, nuncio, url, targets, notification):
    """How the deliveries of a notification differ."""
    theirs = wire.take(url, notification)
    ours = [request for target in targets for request in nuncio.take(target, notification)]
    named = pieces(url)
    for side, name in ((theirs, "Apprise"), (ours, "Nuncio")):
        for request in [request for request in side if not request.saying(notification["body"])]:
            yield f"{name} alone: {request.method} {request.path}"
            side.remove(request)
    if not theirs or not ours:
        yield from [f"{name} sends nothing" for side, name in ((theirs, "Apprise"), (ours, "Nuncio")) if not side]
        return
    if len(theirs) != len(ours):
        yield f"{'more' if len(ours) > len(theirs) else 'fewer'} requests"
    pairs = [(a, b, list(compare(a, b, notification, named))) for a in theirs for b in ours]
    # Each with the one of the other side that is most like it.
    for one, side in [(one, 0) for one in theirs] + [(one, 1) for one in ours]:
        yield from min((pair[2] for pair in pairs if pair[side] is one), key=weight)


def matches(row, what):
    """Whether a listed difference is this one; `…` stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, row.split("…"))), what, re.DOTALL)


def main(wasm, *names, allow_missing):
    tables = [json.loads((TABLES / f"{name}.json").read_bytes()) for name in ("urls", "differences")]
    urls, listed = tables
    names = names or sorted({**urls, **listed})
    wire, nuncio = Wire(), Nuncio(wasm)
    failed, compared, rows = [], 0, 0
    has_urls = {name for name, entry in nuncio.catalog.items() if entry["apprise-form"]}
    failed += [f"{name}: fewer than three URLs" for name in has_urls if len(urls.get(name, [])) < 3]
    for name in names:
        if name not in has_urls:
            if allow_missing:
                print(f"skipped: {name}, which the component does not have")
            else:
                failed.append(f"{name}: the component has no such provider with URLs of Apprise")
            continue
        known, found = listed.get(name, {}), Counter()
        rows += len(known)
        for url in urls.get(name, []):
            told = set()
            def tell(what, of):
                rows = [row for row in known if matches(row, what)]
                found.update(rows)
                if not rows and what not in told:
                    failed.append(f"{name}: {url}: {of}: {what}")
                told.add(what)
            read = nuncio.read(url)
            if "err" in read:
                tell(f"refused: {read['err']['part']}: {read['err']['problem']}", "read")
                continue
            for part in {part for target in read["ok"] for part in target["left-out"]}:
                tell(f"left out: {part}", "read")
            targets = [json.loads(target["settings"]) for target in read["ok"]]
            if not targets and allow_missing:
                print(f"skipped: {url}, which stands for no target")
                continue
            for notification in NOTIFICATIONS:
                try:
                    for what in differences(wire, nuncio, url, targets, notification):
                        tell(what, notification["type"])
                except AssertionError as problem:
                    failed.append(f"{name}: {url}: {notification['type']}: {problem}")
                compared += 1
        failed += [f"{name}: listed, but does not occur: {what}" for what in known if not found[what]]
    for line in failed:
        print(line)
    print(f"apprise: {compared} deliveries compared, {rows} differences listed, {len(failed)} failed")
    return 1 if failed or not compared else 0


if __name__ == "__main__":
    flags = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    if not arguments:
        sys.exit(__doc__)
    sys.exit(main(*arguments, allow_missing="--allow-missing" in flags))
