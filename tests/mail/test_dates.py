from __future__ import annotations

from datetime import UTC, datetime

import pytest

from webapp.mail.dates import parse_date

NOON = datetime(2024, 3, 5, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "Tue, 5 Mar 2024 12:00:00 +0000",
        "Tue, 05 Mar 2024 13:00:00 +0100",
        "Tue, 05 Mar 2024 13:00:00 +0100 (CET)",
        "5 Mar 2024 12:00 GMT",
        "Tue, 5 Mar 24 07:00:00 EST",
        "Tue,5 Mar 2024 12:00:00 GMT",
        "Tue Mar  5 12:00:00 2024",
        "Tue, 5 Mar 2024 12:00:00",
        "2024-03-05 12:00:00",
        "2024-03-05T12:00:00Z",
        "2024-03-05T13:00:00+01:00",
        "2024/03/05 13:00:00 +0100",
        "Di, 5 März 2024 13:00:00 +0100",
        "5 mars 2024 12:00:00",
        "Tuesday, March 5, 2024 12:00 PM",
        "05-Mar-2024 12:00:00 +0000",
        "Tue, 5 Mar 2024 12.00.00 +0000",
        "Tue, 5 Mar 2024 12:00:00 GMT+0000",
        "Tue, 5 Mar 2024 12:00:00 Z",
        "Tue, 5 Mar 2024 13:00:00 CET",
        "Tue, 5 Mar 2024 13:00:00 MEZ",
        "Tue, 5 Mar 2024 21:00:00 JST",
        "Tue, 5 Mar 2024 17:30:00 IST",
        "Tue, 5 Mar 2024 13:00:00 GMT+01:00",
        "Tue, 5 Mar 2024 13:00:00 UTC+1",
        "Tue, 5 Mar 2024 13:00:00 +100",
        "Tue, 5 Mar 2024 13:00:00 +01",
        "Tue, 5 Mar 2024 13:00:00 + 0100",
        "Tue, 5 Mar 2024 07:00:00 \u22120500",
        "Tue, 5 Mar 2024 12:00:00 -0000",
        "Tue, 5 Mar 2024 13:00:00 +0100 +0100",
        "Tue, (a comment) 5 Mar (another) 2024 12:00 +0000",
        "Tue, 05 Mar 2024 12:00:00.123 +0000",
        "Tue, 05 Mar 24 12:00 GMT",
        "Tue, 05 Mar 124 12:00 GMT",  # the year counted from 1900
        "TUE, 05 MAR 2024 12:00:00 UT",
        "Tue Mar  5 13:00:00 CET 2024",
        "Tue Mar  5 13:00:00 2024 +0100",
        "Tue Mar  5 13:00:00 +0100 2024",
        "Mar 5, 2024, at 12:00 PM",
        "Mar 5 2024 12:00:00:PM",
        "3/5/2024 12:00 PM",
        "03/05/2024 1:00:00 p.m. +0100",
        "5.3.2024 12:00",
        "05.03.2024, 13:00:00 MEZ",
        "05.03.24 12.00",
        "2024.03.05 12:00",
        "2024-03-05 12:00:00.000000",
        "2024-03-05T07:00-05:00",
        "20240305T120000Z",
        "20240305120000",
        "1709640000",
        "2024 Mar 5 12:00 GMT",
        "5/Mar/2024:12:00:00 +0000",
        "5-Mar-24 12:00",
        "Dienstag, 5. März 2024 13:00 +0100",
        "mar. 5 mars 2024 à 12:00",
        "mar, 5 mar 2024 12:00",
        "martes, 5 de marzo de 2024 12:00",
        "terça-feira, 5 de março de 2024 12:00",
        "martedì 5 marzo 2024 12:00",
        "dinsdag 5 maart 2024 12:00",
        "tirsdag den 5. marts 2024 12.00",
        "tis 5 mars 2024 kl. 12:00",
        "wtorek, 5 marca 2024 12:00",
        "úterý 5. března 2024 12:00",
        "Вторник, 5 марта 2024 15:00 MSK",
        "5 березня 2024 12:00",
        "5 Mart 2024 Salı 12:00",
        "2024. március 5. 12:00",
        "2024年3月5日 12:00",
        "2024年3月5日 下午12:00",
        "2024년 3월 5일 오후 12:00",
        "ti 5. maaliskuuta 2024 12.00",
        "Tue, 5 Mar 2024 12h00",
        "Tue, 5 Mar 2024 12:00:00 +9900",  # no such zone
        "Mon, 4 Mar 2024 24:00 -1200",
        "\uff12\uff10\uff12\uff14-03-05 12:00",
    ],
)
def test_dialects(value: str) -> None:
    assert parse_date(value) == NOON


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "0",
        "99999999999999999999",
        "Tue, 45 Foo 2024 99:99:99",
        "\x00",
        "1 1 1 1 1 1",
        "9" * 5000,
        "3/4/2024 12:00",  # the fourth of March or the third of April
        "Tue, 5 Mar 2024 25:00:00 +0000",
        "Tue, 5 Mar 2024 12:61:00 +0000",
        "Tue, 30 Feb 2024 12:00:00 +0000",
        "5 Mar 12:00",
        "March",
        "12:00",
        "0000-00-00 00:00:00",
        "Tue, 5 Mar",
        "Tue, 5 Mar 0024 12:00:00 +0000",
        "Fri, 1 Jan 1904 00:00:00 +0000",
    ],
)
def test_no_date(value: str) -> None:
    assert parse_date(value) is None


@pytest.mark.parametrize(
    "value", ["1 Jan 0001 00:00 +1200", "31 Dec 9999 23:59:59 -1200", "1 Jan 1970 00:00 +9999"]
)
def test_the_edges_of_time_do_not_raise(value: str) -> None:
    parsed = parse_date(value)
    assert parsed is None or parsed.tzinfo is UTC


def test_a_day_without_a_time_begins_at_midnight() -> None:
    assert parse_date("Tue, 5 Mar 2024") == datetime(2024, 3, 5, tzinfo=UTC)


def test_a_leap_second_is_the_next_minute() -> None:
    assert parse_date("31 Dec 2016 23:59:60 +0000") == datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("month", "names"),
    [
        (1, "Jan Januar janvier gennaio enero janeiro januari stycznia leden Января січня"),
        (2, "Feb Februar février febbraio febrero fevereiro lutego února Февраля лютого"),
        (5, "May Mai mei maj maggio mayo maio květen Мая травня"),
        (8, "Aug August août agosto sierpnia srpna augustus Августа серпня"),
        (10, "Oct Okt Oktober octobre ottobre octubre outubro października října Октября жовтня"),
        (12, "Dec Dez Dezember décembre dicembre diciembre dezembro grudnia prosince Декабря грудня"),
    ],
)
def test_months_in_many_languages(month: int, names: str) -> None:
    for name in names.split():
        assert parse_date(f"7. {name} 2024 12:00") == datetime(2024, month, 7, 12, tzinfo=UTC), name
