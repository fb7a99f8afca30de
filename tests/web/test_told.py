"""What other parts of Ratwall say in English is known to the page, and said in German."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, render_template_string

import ratwall
from ratwall.verdict.headline import Outcome, headline
from ratwall_web import create_app
from ratwall_web.config import Config
from ratwall_web.told import SENTENCE_MOST, is_known, told

FIRMWARE = Path(ratwall.__file__).parent
# The modules whose `text`, where it is put together, is a piece of evidence that an owner reads.
WRITERS = (
    "verdict/judge.py",
    "feeds/match.py",
    "rhythm/decide.py",
    "loops/attempts.py",
    "detections/facts.py",
    "detections/beaconing.py",
    "detections/encrypted.py",
    "detections/failures.py",
)
# What stands for the parts that are words themselves; all else is a number.
WORDS = {
    "few": "7 devices",
    "_beats(history)": "The device reports in 7 times, every 7.0 seconds.",
    "_when(hit, now)": ", last seen 2026-07-07, today",
}


@pytest.fixture
def german(config: Config) -> Iterator[Flask]:
    app = create_app(config)
    with app.test_request_context(headers={"Accept-Language": "de"}):
        yield app


def sentences(path: Path) -> Iterator[str]:
    """Yield each sentence that a module puts together, with a sample in each place."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Assign):
            continue
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "text":
            if isinstance(node.value, ast.Constant):
                yield str(node.value.value)
            if isinstance(node.value, ast.JoinedStr):
                yield "".join(map(sample, node.value.values))


def sample(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return WORDS.get(ast.unparse(part.value), "7")
    assert isinstance(part, ast.Constant)
    return str(part.value)


@pytest.mark.parametrize("module", WRITERS)
def test_every_piece_of_evidence_is_known(module: str) -> None:
    found = list(sentences(FIRMWARE / module))
    assert found
    assert [sentence for sentence in found if not is_known(sentence)] == []


def test_every_text_of_the_signature_packs_is_known() -> None:
    packs = list((FIRMWARE / "signatures").glob("*.toml"))
    assert packs
    for path in packs:
        pack = tomllib.loads(path.read_text())
        texts = [pack["about"], *(rule["text"] for rule in pack["rule"])]
        for text in texts:
            said = text.replace("{port}", "8848").replace("{common_name}", "DcRat Server")
            assert is_known(said), f"{path.name}: {said}"


@pytest.mark.parametrize("family", ["AsyncRAT", None])
@pytest.mark.parametrize("outcome", Outcome)
def test_every_headline_is_said_in_german(
    german: Flask, outcome: Outcome, family: str | None
) -> None:
    said = headline(
        device="PC-ANNA",
        server="2001:db8::7",
        server_port=6606,
        family=family,
        outcome=outcome,
        name="c2.example",
    )
    shown = told(said)
    assert shown is not None
    assert shown != said
    for fact in ("PC-ANNA", "c2.example (2001:db8::7)", "6606", family or ""):
        assert fact in shown


def test_words_and_numbers_in_a_sentence_are_translated_too(german: Flask) -> None:
    clock = told("The device reports in like a clock: 15 times, every 13.5 seconds.")
    assert clock is not None
    assert "13,5 Sekunden" in clock
    before = told(
        "This server was recognised as a remote-control server by its certificate 2 hours ago; "
        "this connection hides the certificate, so the earlier verdict holds."
    )
    assert before is not None
    assert "2 Stunden" in before
    assert "remote-control" not in before


def test_a_text_of_several_sentences_is_translated_whole_or_not_at_all(german: Flask) -> None:
    name = "The server's certificate carries the name of DcRat, a tool for controlling other "
    name += "people's computers: “DcRat Server”."
    port = "Port 8848 is the one that DcRat servers use by default."
    shown = told(f"{name} {port}")
    assert shown is not None
    assert "„DcRat Server“" in shown
    assert "Port 8848 ist der" in shown
    assert told(f"{name} Nobody knows this. {port}") == f"{name} Nobody knows this. {port}"


@pytest.mark.parametrize(
    "sentence",
    ["", None, "never heard of", "100% of %(device)s", "<b>x</b>", "x" * (SENTENCE_MOST + 1)],
)
def test_what_is_not_known_stays_as_it_came(german: Flask, sentence: str | None) -> None:
    assert told(sentence) == sentence


def test_markup_in_a_name_stays_text(german: Flask) -> None:
    said = headline(
        device="<img src=x>",
        server="203.0.113.7",
        server_port=443,
        family=None,
        outcome="alert",
    )
    shown = render_template_string("{{ said | told }}", said=said)
    assert "&lt;img src=x&gt;" in shown
    assert "<img" not in shown
