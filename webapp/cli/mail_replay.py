"""`servicedesk mail replay`: what the code of today makes of messages taken in before."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click

from webapp.cli.group import echo, echo_json, json_option, moment_of, now, opened
from webapp.inbound.again import AgainRefused
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.replay import Replay, apply_replay, compare, stored_ids
from webapp.instance import Instance
from webapp.models import Inbound

ACTOR = "command line"
SHOWN_CHARACTERS = 2_000


@click.command("replay")
@click.argument("message_id", metavar="ID", type=click.IntRange(1, 2**31 - 1), required=False)
@click.option("--since", metavar="TIME", help="All that were processed since then (ISO 8601).")
@click.option("--all", "every", is_flag=True, help="All messages.")
@click.option("--apply", "write", is_flag=True, help="Write down what they are understood as now.")
@json_option
def replay_messages(
    message_id: int | None, since: str | None, every: bool, write: bool, as_json: bool
) -> None:
    """Read message ID of the email log again, and show what would be understood otherwise today.

    Nothing is changed without --apply. With it the text, files, subject and sender of the message become what
    they are understood as now; what was decided about it stays.
    """
    if (message_id is not None) + (since is not None) + every != 1:
        raise click.UsageError("Name one message by its ID, or --since TIME, or --all.")
    moment = moment_of(since) if since else None
    with opened() as instance, ParserProcess() as parser:
        if message_id is not None:
            _replay_one(instance, parser, message_id, write=write, as_json=as_json)
        else:
            _replay_many(instance, parser, moment, write=write, as_json=as_json)


def _replay_one(
    instance: Instance, parser: ParserProcess, message_id: int, *, write: bool, as_json: bool
) -> None:
    with instance.database.reading() as session:
        if session.get(Inbound, message_id) is None:
            raise click.ClickException(f"There is no message {message_id} in the email log.")
    try:
        told = _replay(instance, parser, message_id, write=write)
    except AgainRefused as refused:
        raise click.ClickException(str(refused)) from refused
    if as_json:
        echo_json(told)
    else:
        _echo(told, write=write)


def _replay_many(
    instance: Instance, parser: ParserProcess, since: datetime | None, *, write: bool, as_json: bool
) -> None:
    with instance.database.reading() as session:
        ids = list(stored_ids(session, since=since))
    told, not_kept = [], 0
    hidden = not sys.stderr.isatty()
    with click.progressbar(ids, label="Reading", file=sys.stderr, hidden=hidden) as shown:
        for message_id in shown:
            try:
                one = _replay(instance, parser, message_id, write=write)
            except AgainRefused:
                not_kept += 1
                continue
            if one["changed"] or one["decided_otherwise"]:
                told.append(one)
    if as_json:
        echo_json(told)
        return
    for one in told:
        names = ", ".join(difference["name"] for difference in one["differences"]) or "only the decision"
        echo(f"message {one['id']}: {names}{_decision_in_words(one)}")
    changed = sum(one["changed"] for one in told)
    done = f"{sum(one['applied'] for one in told):,} written" if write else "nothing written, see --apply"
    kept = f", {not_kept:,} no longer kept" if not_kept else ""
    click.echo(f"{len(ids) - not_kept:,} messages read{kept}: {changed:,} understood otherwise, {done}.")


def _replay(instance: Instance, parser: ParserProcess, message_id: int, *, write: bool) -> dict[str, Any]:
    replay = compare(instance, parser, message_id)
    applied = write and apply_replay(instance, replay, now=now(), actor=ACTOR)
    return _as_dict(replay) | {"applied": applied}


def _as_dict(replay: Replay) -> dict[str, Any]:
    disposition, rule = replay.was_decided
    today = replay.decision.disposition
    return {
        "id": replay.inbound_id,
        "changed": bool(replay.differences),
        "unreadable": replay.unreadable,
        "differences": [
            {"name": one.name, "before": one.before, "after": one.after} for one in replay.differences
        ],
        "decided": {"disposition": disposition.value, "rule": rule},
        "would_decide": {"disposition": today.value if today else None, "rule": replay.decision.rule},
        "decided_otherwise": replay.decides_otherwise,
    }


def _echo(told: dict[str, Any], *, write: bool) -> None:
    for one in told["differences"]:
        echo(f"{one['name']}:")
        for sign, text in (("-", one["before"]), ("+", one["after"])):
            for line in text[:SHOWN_CHARACTERS].splitlines() or [""]:
                echo(f"  {sign} {line}")
    if told["decided_otherwise"]:
        echo(f"The rules would decide otherwise now{_decision_in_words(told)}.")
    if told["unreadable"]:
        click.echo("Today this message cannot be read. Nothing was changed.")
    elif not told["differences"]:
        click.echo("It is understood as before. Nothing to change.")
    elif told["applied"]:
        click.echo("Written.")
    else:
        click.echo(
            "Nothing was changed. Write it down with: --apply" if not write else "Nothing was changed."
        )


def _decision_in_words(told: dict[str, Any]) -> str:
    if not told["decided_otherwise"]:
        return ""
    was, would = told["decided"], told["would_decide"]
    return f" ({was['disposition']} by {was['rule']} -> {would['disposition']} by {would['rule']})"
