"""The Graph stand-in as a process of its own: killing the application does not kill it.

    python -m tests.rig.graph_process FOLDER

makes a certificate in FOLDER, prints one JSON line {"base", "ca_file", "pid"}, and then answers each JSON
line on its standard input with one: {"do": "add_user", "address": ...} -> {"user_id"}, "share", "issue" ->
{"token"}, "deliver" (raw in base64) -> {"key"}, "contents" (of a folder) -> [{"key", "raw", "seen"}],
"folders", "sent", "fault" (fields of Fault; "status", "code" and "headers" make its reply), "mark_seen",
"take_away", "expunge". It ends with its standard input.
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
from tests.rig.graph_server import ALL_SCOPES, GraphServer
from tests.rig.graph_wire import Fault, error


def main(folder: Path) -> None:
    authority = Authority(folder)
    server = GraphServer(authority.good.server_context(), str(authority.ca_file))
    server.start()
    _say({"base": server.base, "ca_file": server.ca_file, "pid": os.getpid()})
    try:
        for line in sys.stdin:
            _say(obey(server, json.loads(line)))
    finally:
        server.stop()


def obey(server: GraphServer, order: dict[str, Any]) -> Any:
    """One command; what it answers."""
    address = str(order.get("address", ""))
    folder = str(order.get("folder", "INBOX"))
    key = str(order.get("key", ""))
    match order["do"]:
        case "add_user":
            aliases = tuple(order.get("aliases", ()))
            name = str(order.get("display_name", "Help Desk"))
            return {"user_id": server.add_user(address, display_name=name, aliases=aliases).user_id}
        case "share":
            server.share(address, str(order["with"]))
        case "issue":
            return {"token": server.issue(address, str(order.get("scopes", ALL_SCOPES)))}
        case "deliver":
            raw, at = base64.b64decode(order["raw"]), order.get("received_at")
            received_at = datetime.fromisoformat(at) if at else None
            store = server.mailbox_of(address)
            return {"key": store.deliver(raw, received_at=received_at, seen=bool(order.get("seen")))}
        case "contents":
            found = server.mailbox_of(address).contents(folder)
            return [
                {"key": one.immutable_id, "raw": _text(one.raw), "seen": one.seen, "folder": folder}
                for one in found
            ]
        case "folders":
            return sorted(server.mailbox_of(address).folders())
        case "sent":
            sent = server.mailbox_of(address).sent
            return [{"raw": _text(one.raw), "recipients": one.recipients} for one in sent]
        case "mark_seen":
            server.mailbox_of(address).mark_seen(key)
        case "take_away":
            server.mailbox_of(address).take_away(key, folder)
        case "expunge":
            server.mailbox_of(address).expunge(key)
        case "fault":
            server.faults.append(_fault(dict(order)))
    return {}


def _fault(order: dict[str, Any]) -> Fault:
    del order["do"]
    status, code = order.pop("status", 0), order.pop("code", "")
    headers = order.pop("headers", {})
    names = {name.replace("-", "_"): value for name, value in headers.items()}
    return Fault(reply=error(status, code, **names) if status else None, **order)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
