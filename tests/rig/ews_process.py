"""The stand-in for an Exchange as a process of its own: killing the application does not kill it.

    python -m tests.rig.ews_process FOLDER

makes a certificate in FOLDER, prints one JSON line {"url", "port", "ca_file", "domain", "password", "pid"},
and then answers each JSON line on its standard input with one: {"do": "add_mailbox", "address": ...},
"share", "deliver" (raw in base64) -> {"key"}, "contents" (of a folder) -> [{"key", "raw", "seen"}],
"folders", "sent", "fault" (fields of Fault), "mark_seen", "take_away", "expunge", "drop_connections". It
ends with its standard input.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.rig.certificates import Authority
from tests.rig.ews_server import DOMAIN, PASSWORD, EwsServer, Fault


def main(folder: Path) -> None:
    authority = Authority(folder)
    with EwsServer(authority.good, authority.ca_file) as server:
        known = {"ca_file": str(server.ca_file), "domain": DOMAIN, "password": PASSWORD}
        _say({"url": server.url, "port": server.port, "pid": os.getpid(), **known})
        for line in sys.stdin:
            _say(obey(server, json.loads(line)))


def obey(server: EwsServer, order: dict[str, Any]) -> Any:
    """One command; what it answers."""
    address = str(order.get("address", ""))
    folder = str(order.get("folder", "INBOX"))
    key = str(order.get("key", ""))
    match order["do"]:
        case "add_mailbox":
            aliases = tuple(order.get("aliases", ()))
            server.add_mailbox(address, user=str(order.get("user", "")), aliases=aliases)
            return {}
        case "fault":
            server.faults.append(Fault(**{name: order[name] for name in order.keys() - {"do"}}))
            return {}
        case "drop_connections":
            server.drop_connections()
            return {}
    store = server.mailboxes[address.lower()]
    match order["do"]:
        case "share":
            server.share(store, str(order["with"]), send_as=bool(order.get("send_as")))
        case "deliver":
            raw, at = base64.b64decode(order["raw"]), order.get("received_at")
            received_at = datetime.fromisoformat(at) if at else None
            return {"key": store.deliver(raw, received_at=received_at, seen=bool(order.get("seen")))}
        case "contents":
            items = store.contents(folder)
            return [{"key": i.search_key, "raw": _text(i.raw), "seen": i.seen} for i in items]
        case "folders":
            return sorted(store.folders())
        case "sent":
            return [{"raw": _text(one.raw), "recipients": one.recipients} for one in store.sent]
        case "mark_seen":
            store.mark_seen(key)
        case "take_away":
            store.take_away(key, folder)
        case "expunge":
            store.expunge(key)
        case unknown:
            raise ValueError(f"nobody knows how to {unknown}")
    return {}


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
