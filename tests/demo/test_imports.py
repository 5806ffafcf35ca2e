"""The demonstration's servers are an extra: nothing else of the product may need them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from webapp.config import CHECKOUT

EXTRA = {"pymap", "pysasl", "proxyprotocol", "aiosmtpd"}


def test_only_the_demonstration_imports_them() -> None:
    product = [CHECKOUT / "scheduler.py", *(CHECKOUT / "webapp").rglob("*.py")]
    users = {path for path in product if EXTRA & set(imported(path))}
    assert users
    assert all(path.is_relative_to(CHECKOUT / "webapp" / "demo") for path in users)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
