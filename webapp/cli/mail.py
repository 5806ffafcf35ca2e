"""`servicedesk mail`: the three rows, and what the email parser makes of messages."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import click
from sqlalchemy.orm import Session

from webapp.cli.group import (
    echo,
    echo_json,
    echo_table,
    json_option,
    moment_of,
    now,
    opened,
    read_password,
)
from webapp.cli.mail_archive import check_archive_folder
from webapp.cli.mail_held import held_messages
from webapp.cli.mail_preview import preview_inbox
from webapp.cli.mail_replay import replay_messages
from webapp.cli.mail_suggest import suggest_settings
from webapp.desk import mail_log, mail_servers
from webapp.desk.activation import needs_confirmation
from webapp.desk.addresses import read_addr_spec
from webapp.desk.connection_tests import sending
from webapp.desk.mail_form import check, texts_of, values_of
from webapp.desk.mail_hints import hints_of
from webapp.desk.mail_identity import account_addresses
from webapp.desk.mail_protocols import MODE_LABELS, PROTOCOL_LABELS, fields_of
from webapp.desk.mail_secrets import sealed_of, secret_name
from webapp.desk.mail_servers import Draft
from webapp.inbound import foresight
from webapp.inbound.explain import explain_message
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.inbound.runs import Counts, RunReport
from webapp.instance import Instance
from webapp.mail import describe
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.mailserver.checks import Delivered, Foreseen, Takes
from webapp.mailserver.diagnosis import StageResult, StageState, diagnose
from webapp.models import MailServer, Row

ROW = click.Choice([row.value for row in Row])
LABELS = {
    Row.OUTGOING: "Outgoing email settings",
    Row.INVOICE: "Invoice email settings",
    Row.INCOMING: "Incoming email settings",
}
MARKS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL", "skipped": "-   "}
FRUITLESS_RUNS = 3
TAKEN = "becomes a ticket at the next run. To see first: servicedesk mail preview."
TAKES_ALL = (
    "Every unread message in the inbox becomes a ticket at the next run. To leave old mail alone: "
    "cutoff_enabled=true cutoff_at=...; to see first: servicedesk mail preview."
)


@click.group()
def mail() -> None:
    """Mail servers and the email parser."""


mail.add_command(preview_inbox)
mail.add_command(check_archive_folder)
mail.add_command(replay_messages)
mail.add_command(held_messages)
mail.add_command(suggest_settings)


@mail.command("set")
@click.argument("row", type=ROW)
@click.argument("assignments", nargs=-1, metavar="KEY=VALUE...")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password (Office365: client secret) from standard input."
)
@click.option("--client-secret-stdin", is_flag=True, help="The same, for Office365 by its own name.")
def set_row(row: str, assignments: tuple[str, ...], password_stdin: bool, client_secret_stdin: bool) -> None:
    """Change a row; what is not named stays. `servicedesk mail show ROW` lists the keys of its protocol.

    Exchange has host and port, or ews_url; username; mailbox. Office365 has tenant_id, client_id,
    client_secret_expires_on and mailbox; its account is connected on the settings page, in a browser.
    """
    if not assignments and not password_stdin and not client_secret_stdin:
        raise click.UsageError("Name at least one KEY=VALUE to change, or --password-stdin.")
    changes = dict(_assignment(text) for text in assignments)
    secret = None
    if password_stdin or client_secret_stdin:
        secret = read_password(True, "Password", confirm=False)
    with opened() as instance, instance.database.writing() as session:
        password = None if client_secret_stdin else secret
        wanted = mail_servers.draft(session, instance, Row(row), changes, password, client_secret=secret)
        if client_secret_stdin and not wanted.typed:
            raise click.UsageError("Only Office365 has a client secret: protocol=office365.")
        before = mail_servers.load(session, Row(row))
        was = values_of(before) if before else None
        stored = mail_servers.save(session, instance.vault, wanted, now=now(), actor="command line")
        saved = _shown(session, Row(row), stored)
        notes = hints_of(session, wanted.values)
    click.echo(f"{LABELS[Row(row)]} saved: {_summary(saved)}.")
    for sentence in notes.values():
        click.echo(f"Note: {sentence}")
    takes_more = needs_confirmation(was, wanted.values, last_test_passed=None).step
    if takes_more and not wanted.values.cutoff_enabled:
        click.echo(TAKES_ALL)
    elif takes_more:
        click.echo(f"Every unread message received since {saved['cutoff_at']} {TAKEN}")
    if wanted.values.protocol is MailProtocol.OFFICE365 and not saved["account"]:
        click.echo(
            "Next: connect the Microsoft account, in a browser, on the page Mail server configuration."
        )
        return
    click.echo(f"Test them with: servicedesk mail test {row}")


@mail.command("show")
@click.argument("row", type=ROW, required=False)
@json_option
def show_rows(row: str | None, as_json: bool) -> None:
    """The rows as saved; passwords are never shown."""
    wanted = [Row(row)] if row else list(Row)
    with opened() as instance, instance.database.reading() as session:
        shown = [_shown(session, name, mail_servers.load(session, name)) for name in wanted]
    if as_json:
        echo_json(shown[0] if row else shown)
        return
    for values in shown:
        click.echo(LABELS[Row(values["row"])])
        for name, value in values.items():
            if name != "row":
                echo(f"  {name} = {_for_people(value)}")


@mail.command("test")
@click.argument("row", type=ROW)
@click.option("--send-to", metavar="ADDR", help="Then send a test message there (outgoing, invoice).")
@json_option
def test_row(row: str, send_to: str | None, as_json: bool) -> None:
    """Go through the saved row stage by stage; changes nothing on the server. Exit 0 passed, 1 failed."""
    if send_to is not None:
        send_to = _recipient(Row(row), send_to)
    with opened() as instance:
        wanted, version = _saved_draft(instance, Row(row))
        settings = mail_servers.server_settings(wanted, instance)
        foresee = foresight.foresee(instance, wanted) if settings.receives else None
        send = (
            sending(instance, settings, send_to, row_label=LABELS[Row(row)], now=now()) if send_to else None
        )
        results = _run_stages(diagnose(settings, foresee=foresee, send=send), quiet=as_json)
        failed = _remember_test(instance, Row(row), version, results)
    delivered = next((r.detail for r in results if isinstance(r.detail, Delivered)), None)
    if as_json:
        message_id = delivered.message_id if delivered else None
        echo_json({"passed": failed is None, "stages": list(map(_stage, results)), "message_id": message_id})
    else:
        _echo_verdict(results, failed, delivered)
    if failed:
        raise SystemExit(1)


@mail.command("poll")
@json_option
def poll_now(as_json: bool) -> None:
    """Run the email parser now until the inbox is drained, whatever the back-off says."""
    logging.basicConfig(level=logging.ERROR)  # a warning is said by the sentence at the end
    total, report = _poll_until_drained()
    failure = report.failure
    if as_json:
        error = {"sentence": failure.sentence, "cure": failure.cure} if failure else None
        echo_json(asdict(total) | {"error": error, "next_try_at": report.next_try_at})
    elif total.processed or not failure:
        click.echo(_counts_in_words(total))
    if failure and not as_json:
        again = f" The next try is at {report.next_try_at:%H:%M:%S} UTC." if report.next_try_at else ""
        raise click.ClickException(f"{failure.sentence} {failure.cure}{again}")
    if failure:
        raise SystemExit(1)


@mail.command("parse")
@click.argument("file", type=click.File("rb"))
@json_option
def parse_file(file: BinaryIO, as_json: bool) -> None:
    """How one raw message (FILE, or - for standard input) is understood."""
    shown = describe(file.read())
    if as_json:
        echo_json(shown)
        return
    for name, value in shown.items():
        if name not in ("body_text", "reply_text", "body_html", "attachments"):
            echo(f"{name}: {_for_people(value)}")
    for part in shown["attachments"]:
        echo(f"attachment: {part['filename']} · {part['content_type']} · {part['size']} octets")
    echo(f"\n{shown['body_text']}")


@mail.command("explain")
@click.argument("file", type=click.File("rb"))
@click.option("--received", metavar="TIME", help="When the server received it (ISO 8601); default: now.")
@json_option
def explain_file(file: BinaryIO, received: str | None, as_json: bool) -> None:
    """What the parser would decide about FILE (- for standard input), rule by rule. Changes nothing."""
    received_at = moment_of(received) if received else now()
    with opened() as instance:
        message, decision = explain_message(instance, file.read(), received_at=received_at)
    outcome = decision.disposition.value if decision.disposition else "left untouched"
    if as_json:
        trace = [asdict(step) for step in decision.trace]
        echo_json({
            "disposition": outcome, "rule": decision.rule, "saw": decision.saw, "trace": trace,
            "from": message.sender.addr_spec, "subject": message.subject,
        })  # fmt: skip
        return
    echo(f"{message.sender.addr_spec or 'no trusted sender'}: {message.subject}")
    for step in decision.trace:
        echo(f"  {'->' if step.fired else '  '} {step.rule}: {step.saw}")
    echo(f"{outcome}, by rule {decision.rule}")


@mail.command("log")
@click.option("--outcome", type=click.Choice(mail_log.OUTCOMES), help="Only these.")
@click.option("--since", metavar="TIME", help="Only what was processed since then (ISO 8601).")
@click.option("--limit", type=click.IntRange(1), help="At most this many, the newest.")
@json_option
def show_log(outcome: str | None, since: str | None, limit: int | None, as_json: bool) -> None:
    """Every message the parser has seen: what was decided, by which rule, on what it saw."""
    moment = moment_of(since) if since else None
    with opened() as instance, instance.database.reading() as session:
        rows = mail_log.as_dicts(session, outcome=outcome, since=moment, limit=limit)
    if as_json:
        echo_json(rows)
        return
    table = [
        (r["id"], f"{r['received_at']:%Y-%m-%d %H:%M}", r["disposition"],
         f"T-{r['ticket']}" if r["ticket"] else "-",
         r["from"] or "-", r["subject"][:60], f"{r['rule']}: {r['saw']}")
        for r in rows
    ]  # fmt: skip
    if not table:
        click.echo("No message matches." if outcome or since else "The parser has not seen any message yet.")
        return
    echo_table(table, ("id", "received (UTC)", "outcome", "ticket", "from", "subject", "why"))


def _poll_until_drained() -> tuple[Counts, RunReport]:
    """Run after run, as each is bounded; a mailbox that never gets emptier is left after a few."""
    total, fruitless = Counts(), 0
    with opened() as instance, ParserProcess() as parser:
        while True:
            report = poll(instance, parser, trigger="command")
            total.add(report.counts)
            total.before_cutoff = report.counts.before_cutoff  # still there: each run counts them again
            fruitless = 0 if report.counts.processed else fruitless + 1
            if report.drained or report.failure or fruitless == FRUITLESS_RUNS:
                return total, report


def _counts_in_words(total: Counts) -> str:
    counted = [f"{number} {name.replace('_', ' ')}" for name, number in asdict(total).items() if number]
    return ", ".join(counted) if counted else "Nothing new in the inbox."


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if name in ("password", "client_secret"):
        raise click.UsageError("A password on the command line can be seen by others: use --password-stdin.")
    if not equals or not name:
        raise click.UsageError(f"{text!r} is not of the form KEY=VALUE.")
    return name, value


def _shown(session: Session, row: Row, stored: MailServer | None) -> dict[str, Any]:
    """The row as it is, or as it would be; never its secret."""
    if stored:
        values = values_of(stored)
    else:
        values = check(row, texts_of(row, None), has_password=False, zone=ZoneInfo("UTC"))
    shown: dict[str, Any] = {"row": row.value, "set_up": stored is not None}
    shown |= {name: getattr(values, name) for name in fields_of(row, values.protocol)}
    shown[secret_name(values.protocol)] = "saved" if stored and sealed_of(stored) else "not set"
    if values.protocol is MailProtocol.OFFICE365:
        shown["account"] = next(iter(account_addresses(session, row)), "")
    return shown


def _for_people(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"  # as `mail set` takes it
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def _summary(saved: dict[str, Any]) -> str:
    state = "active" if saved["active"] else "not active"
    protocol = PROTOCOL_LABELS[saved["protocol"]]
    if saved["protocol"] is MailProtocol.OFFICE365:
        return f"{state}, {protocol}, {saved['account'] or 'no account connected yet'}"
    mode = TlsMode(saved.get("tls_mode", TlsMode.IMPLICIT)) if saved["use_ssl"] else TlsMode.NONE
    where = f"{saved['host'] or 'no host yet'}:{saved['port']}"
    return f"{state}, {protocol}, {where}, {MODE_LABELS[mode]}"


def _recipient(row: Row, text: str) -> str:
    if row is Row.INCOMING:
        raise click.UsageError("--send-to is for the rows that send: outgoing and invoice.")
    try:
        return read_addr_spec(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _saved_draft(instance: Instance, row: Row) -> tuple[Draft, int]:
    with instance.database.reading() as session:
        stored = mail_servers.load(session, row)
        if stored is None or not stored.is_set_up:
            raise click.ClickException(
                f"{LABELS[row]} are not set up. Set them up with: servicedesk mail set {row.value} host=..."
            )
        return mail_servers.stored_draft(instance.vault, stored), stored.version


def _run_stages(stages: Iterator[StageResult], *, quiet: bool) -> list[StageResult]:
    results = []
    for stage in stages:
        results.append(stage)
        if not quiet:
            echo(f"{MARKS[stage.state]}  {stage.label:<18} {stage.elapsed_ms:>6} ms  {stage.fact}")
    return results


def _stage(stage: StageResult) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "stage": stage.stage.value, "label": stage.label, "state": stage.state.value,
        "elapsed_ms": stage.elapsed_ms, "fact": stage.fact,
    }  # fmt: skip
    if stage.remedy:
        fix = stage.remedy.quick_fix
        shown |= {
            "sentence": stage.remedy.sentence, "cure": stage.remedy.cure, "field": stage.remedy.field,
            "quick_fix": {"label": fix.label, "changes": dict(fix.changes)} if fix else None,
        }  # fmt: skip
    if isinstance(stage.detail, Foreseen):
        shown["foreseen"] = asdict(stage.detail)
    return shown


def _remember_test(
    instance: Instance, row: Row, version: int, stages: list[StageResult]
) -> StageResult | None:
    """Store how the saved settings fared; the stage that failed, if one did."""
    failed = next((stage for stage in stages if stage.state is StageState.FAILED), None)
    sentence = failed.remedy.sentence if failed and failed.remedy else ""
    takes = next((stage.detail for stage in stages if isinstance(stage.detail, Takes)), None)
    with instance.database.writing() as session:
        mail_servers.record_test(
            session, row, version=version, passed=failed is None, sentence=sentence, now=now(), takes=takes
        )
    return failed


def _echo_verdict(stages: list[StageResult], failed: StageResult | None, delivered: Delivered | None) -> None:
    if failed:
        words = f"{failed.remedy.sentence}\n{failed.remedy.cure}" if failed.remedy else failed.fact
        echo(f"\nTest failed at {failed.label}.\n{words}")
        return
    echo(f"\nTest passed in {sum(stage.elapsed_ms for stage in stages) / 1000:.1f} s.")
    if delivered:
        where = f"{delivered.recipient} (Message-ID <{delivered.message_id}>)"
        echo(f"The server accepted a test message for {where}.")
