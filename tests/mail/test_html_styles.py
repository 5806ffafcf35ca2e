"""The looks of a stranger's HTML: colours and spaces within bounds, style sheets, what is hidden."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.mail.html_safe import sanitise
from webapp.mail.html_sheet import sheet_of
from webapp.mail.html_styles import safe_style
from webapp.mail.html_text import html_to_text


def shown(html: str) -> str:
    safe, defect = sanitise(html)
    assert (safe is None) == (defect is not None)
    return safe or ""


STYLES = {
    "color:red;background:#fff url(https://evil.test/p.gif) no-repeat": "color:red;background-color:#fff",
    "background:url('https://evil.test/a;b.gif') left top rgb(1, 2, 3)": "background-color:rgb(1, 2, 3)",
    "background:url(https://evil.test/p.gif) center / cover no-repeat": "",
    "background-color:red;background:none": "background-color:red",
    "background-image:url(https://evil.test/p.gif)": "",
    "font:bold 11px/13px 'Segoe UI', Arial": "font:bold 11px/13px 'Segoe UI', Arial",
    "font:9999px serif": "font:96px serif",
    "font-size:500pt": "font-size:72pt",
    "font-size:2em": "font-size:min(2em,96px)",
    "font-size:larger": "font-size:min(1.2em,96px)",
    "margin:-20px 0 0 -9999px": "margin:0 0 0 0",
    "margin-top:-1em": "margin-top:0",
    "margin:0 auto !important": "margin:0 auto",
    "margin:0cm;margin-bottom:.0001pt": "margin:0cm;margin-bottom:.0001pt",
    "margin:1e9px": "",
    "padding:99999px 10px": "padding:120px 10px",
    "padding:99%": "padding:30%",
    "padding:100vh": "",
    "width:99999px": "width:2000px",
    "width:400%": "width:100%",
    "width:calc(100% + 9px)": "",
    "border:99999px solid rgb(1,2,3)": "border:40px solid rgb(1,2,3)",
    "border-top:solid #E1E1E1 1.0pt": "border-top:solid #E1E1E1 1.0pt",
    "line-height:99": "line-height:4",
    "letter-spacing:-500px": "letter-spacing:-20px",
    "float:left;clear:both;display:flex": "float:left;clear:both",
    "position:fixed;top:0;z-index:9;transform:scale(9)": "",
    "text-indent:-9999px;height:90000px;min-height:90000px": "",
    "color:r\\65 d": "",
    "color:re/**/d": "",
    "color:var(--x)": "",
    "color:image-set(1)": "",
    "width:expression(alert(1))": "",
    "a:b;color:blue": "color:blue",
    "COLOR : Blue ; ": "color:Blue",
    "color:red;color:blue": "color:blue",
    "color:red;display:none": "display:none",
    "display:none;display:block": "display:block",
    "visibility:hidden": "display:none",
    "max-height:0;overflow:hidden": "display:none",
    "mso-hide:all": "display:none",
    "opacity:0": "display:none",
    "opacity:0.5": "",
}


@pytest.mark.parametrize(("written", "safe"), STYLES.items(), ids=STYLES)
def test_styles_that_may_be_shown(written: str, safe: str) -> None:
    assert safe_style(written) == safe
    expected = f'<p style="{safe}">x</p>' if safe else "<p>x</p>"
    for html in (f'<p style="{written}">x</p>', f'<style>b{{margin:0}}</style><p style="{written}">x</p>'):
        assert bare(shown(html)) == bare(expected)


def bare(html: str) -> str:
    """Without what nh3 writes in its own way."""
    return re.sub(r"\s|&quot;|'|(?<=:)0(?=\.)", "", html)


@given(st.text(st.sampled_from("abcdefghijkl url(;:)'\"-\\/*#0159.%pxem!,@{}"), max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_style_loads_anything(written: str) -> None:
    for begin in ("", "background:", "color:red;background:url(", "font:"):
        safe = safe_style(begin + written)
        assert not re.search(r"url\(|image\(|expression\(|[\\@{}<>]|/\*", safe)
        assert safe_style(safe) == safe


SIZES = {
    '<img width="99999" height="99999">': '<img width="2000" height="2000">',
    '<img width="100%">': '<img width="100%">',
    '<img width="400%">': '<img width="100%">',
    '<img width="x">': "<img>",
    '<table cellpadding="9999" border="9999"><tbody></tbody></table>':
    '<table cellpadding="60" border="40"><tbody></tbody></table>',
    '<table><tbody><tr><td colspan="65000" rowspan="65000"></td></tr></tbody></table>':
    '<table><tbody><tr><td colspan="100" rowspan="1000"></td></tr></tbody></table>',
    "<p hidden>x</p>": '<p hidden="">x</p>',
}  # fmt: skip


@pytest.mark.parametrize(("written", "safe"), SIZES.items())
def test_sizes_are_bounded(written: str, safe: str) -> None:
    assert sanitise(written) == (safe, None)


SHEETS = {
    "p{color:red}": '<p style="color:red">x</p>',
    "P, td {color:red}": '<p style="color:red">x</p>',
    ".a{color:red}": '<p style="color:red">x</p>',
    "p.a{color:red} .b{color:blue}": '<p style="color:red">x</p>',
    "#i{color:red}": '<p style="color:red">x</p>',
    ".a{color:blue} p{color:red}": '<p style="color:blue">x</p>',
    "p{margin:0} .a{color:blue}": '<p style="margin:0;color:blue">x</p>',
    "<!-- p{color:red} -->": '<p style="color:red">x</p>',
    "/* p{} */ p{color:red}": '<p style="color:red">x</p>',
    "@import url(https://evil.test/a.css); p{color:red}": '<p style="color:red">x</p>',
    "@font-face{src:url(https://evil.test/a)} p{color:red}": '<p style="color:red">x</p>',
    "@media print{p{color:blue}} p{color:red}": '<p style="color:red">x</p>',
    "p{background:url(https://evil.test/p.gif)}": "<p>x</p>",
    "div p{color:red}": "<p>x</p>",
    "p:hover{color:red}": "<p>x</p>",
    "p>b{color:red}": "<p>x</p>",
    ".a{display:none}": '<p style="display:none">x</p>',
    ".a{display:none}.a{display:block}": '<p style="display:block">x</p>',
    "p{position:fixed}": "<p>x</p>",
    "p{color:red": '<p style="color:red">x</p>',
    "}}}p{color:red}": '<p style="color:red">x</p>',
    '.a{font-family:"x\\"onerror=1<b>"}': "<p>x</p>",
}


@pytest.mark.parametrize(("sheet", "safe"), SHEETS.items(), ids=SHEETS)
def test_a_sheet_goes_to_its_elements(sheet: str, safe: str) -> None:
    assert shown(f'<head><style>{sheet}</style></head><p class="a" id="i">x</p>') == safe


def test_what_an_element_says_itself_counts_more_than_a_sheet() -> None:
    assert shown('<style>p{color:red}</style><p style="color:blue">x</p>') == '<p style="color:blue">x</p>'


@pytest.mark.parametrize(
    "head",
    [
        "<!--[if mso]><style>p{color:red}</style><![endif]-->",
        "<!-- <style>p{color:red}</style> -->",
        '<style media="print">p{color:red}</style>',
        "<style>p{color:red}",
        "<style>" + " " * 100_000 + "p{color:red}</style>",
        "<style>" + "a{b:c}" * 1_000 + "p{color:red}</style>",
    ],
)
def test_sheets_that_do_not_count(head: str) -> None:
    assert sheet_of(f"{head}<p>x").rules == {}


def test_a_page_for_other_readers_than_outlook_counts() -> None:
    html = "<!--[if !mso]><!--><style>p{color:red}</style><!--<![endif]-->"
    assert sheet_of(html).rules == {"p": "color:red"}


@pytest.mark.parametrize("name", ["MsoNormal", "x_MsoNormal", "MsoListParagraphCxSpFirst"])
def test_paragraphs_of_word_have_no_margins(name: str) -> None:
    assert shown(f"<p class={name}>x</p>") == '<p style="margin:0">x</p>'
    assert (
        shown(f"<p class={name} style='margin-left:1cm'>x</p>") == '<p style="margin:0;margin-left:1cm">x</p>'
    )


def test_the_colours_of_the_page_stay_with_its_words() -> None:
    html = (
        '<html><body bgcolor="#111111" text="#eeeeee" style="margin:0;font-size:14px"><p>x</p></body></html>y'
    )
    style = "background-color:#111111;color:#eeeeee;font-size:14px;padding:10px 12px"
    assert shown(html) == f'<div style="{style}"><p>x</p></div>y'
    assert shown("<style>body{color:#333}</style><body>x") == '<div style="color:#333">x</div>'


def test_an_end_of_the_page_closes_nothing_else() -> None:
    html = "<style>p{color:red}</style><div><p>a</p></body><b>b</b></div>"
    assert shown(html) == '<div><p style="color:red">a</p><b>b</b></div>'


def test_what_a_sheet_hides_is_no_text() -> None:
    head = "<style>.pre{display:none!important} #x{visibility:hidden} .off{display:none}</style>"
    html = f"{head}<span class='pre'>no</span><p id=x>no</p>yes<p class='off' style='display:block'>too</p>"
    assert html_to_text(html) == "yes\n\ntoo"
    assert "no</" in shown(html)
    assert shown(html).count("display:none") == 2


def test_a_sheet_for_many_elements_stays_within_bounds() -> None:
    rules = "".join(f".c{n}{{color:#0000{n % 90 + 10};font-family:'{'F' * 80}'}}" for n in range(400))
    element = "<p class='c1 c2 c3 c4 c5 c6 c7 c8 c9'>x</p>"
    safe = shown(f"<style>{rules}</style>{element * 9_000}")
    assert safe.count("<p") == 9_000  # none is lost, and the last ones are plain
    assert safe.endswith("<p>x</p>")


PIECES = ["<style>", "{", "}", "@", "@a{", "a,", "@;", "/*", "<style></style>", "<!--", ".a{color:red}", "a{"]


@pytest.mark.parametrize("piece", PIECES)
def test_four_times_the_sheet_takes_four_times_the_steps(piece: str) -> None:
    assert _steps(f"<style>{piece * 4_000}</style>") < 4.2 * _steps(f"<style>{piece * 1_000}</style>") + 100


def _steps(html: str) -> int:
    count = 0

    def counting(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    safe_style.cache_clear()
    sys.setprofile(counting)
    try:
        sheet_of(html)
    finally:
        sys.setprofile(None)
    return count
