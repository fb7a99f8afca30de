"""Each format says the same of one record, and no text of a stranger's breaks out of its place."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.export.cef import cef
from ratwall.export.ecs import ecs, instant
from ratwall.export.records import TEXT_LIMIT, Record, clean
from ratwall.export.syslog_message import (
    BOM,
    DATAGRAM_LIMIT,
    STREAM_LIMIT,
    host_name,
    message,
)
from unit.export.conftest import SHA256, record

HOST = "box-1"
# What a certificate's subject, a name or a reason may hold: anything.
HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='|\\]="\n\r\0\x1b[ é\u202e\U0001f480', max_size=60),
    st.just('CN=a]b"c\\d|e=f\n<0>1 forged'),
    st.just("\U0001f480" * 10_000),
    st.just("\n" * 10_000),
)
PARAMETER = re.compile(r' ([!-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"')


def parse(text: str) -> tuple[str, dict[str, list[str]], str]:
    """Read a message by the grammar of RFC 5424: header, parameters, text."""
    found = re.match(r"<\d{1,3}>1 \S+ \S+ \S+ \S+ \S+ ", text)
    assert found is not None, text
    rest = text[found.end() :]
    assert rest.startswith("[ratwall@32473"), rest
    at = len("[ratwall@32473")
    parameters: dict[str, list[str]] = {}
    while (pair := PARAMETER.match(rest, at)) is not None:
        value = re.sub(r'\\(["\\\]])', r"\1", pair[2])
        parameters.setdefault(pair[1], []).append(value)
        at = pair.end()
    assert rest[at : at + 2] == "] ", rest[at:]
    return found[0], parameters, rest[at + 2 :].removeprefix(BOM.decode())


def syslog(what: Record, form: str = "rfc5424", limit: int = STREAM_LIMIT) -> bytes:
    return message(what, host=HOST, facility="local0", form=form, limit=limit)


def hostile(text: str) -> Record:
    """A record in which a stranger has chosen every text."""
    fields: dict[str, Any] = {
        name: (text, text)
        if isinstance(value, tuple)
        else text
        if isinstance(value, str)
        else value
        for name, value in record().fields.items()
    }
    return record(message=text, fields=fields).shortened(TEXT_LIMIT)


def test_a_message_reads_as_the_rfc_says() -> None:
    header, parameters, text = parse(syslog(record()).decode())
    assert header == (
        "<130>1 2025-06-15T15:06:40.123456Z box-1 ratwall - incident_opened "  # local0, critical
    )
    assert parameters["server"] == ["203.0.113.7"]
    assert parameters["rules"] == ["asyncrat.name", "asyncrat.port"]
    assert (parameters["seq"], parameters["ledger"]) == (["42"], [record().ledger])
    assert text == "PC-ANNA tried to reach a remote-control server"


def test_text_that_is_not_ascii_has_the_mark_of_utf_8() -> None:
    assert BOM not in syslog(record())
    assert syslog(record(message="BÜRO")).endswith(b" " + BOM + "BÜRO".encode())


@settings(max_examples=60, deadline=None)
@given(HOSTILE)
def test_no_text_breaks_out_of_structured_data(text: str) -> None:
    what = hostile(text)
    header, parameters, shown = parse(syslog(what).decode())
    assert header.startswith("<130>1 2025-06-15T15:06:40.123456Z box-1 ratwall - incident_opened ")
    assert parameters.keys() == {*what.fields, "seq", "ledger"}
    shorter = parameters["certificate_subject"][0].removesuffix("…")
    assert clean(text, len(text)).startswith(shorter)
    assert shown.isprintable()


@settings(max_examples=60, deadline=None)
@given(HOSTILE)
def test_no_text_breaks_out_of_cef(text: str) -> None:
    line = cef(hostile(text), HOST)
    assert line.isprintable()
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    assert len(parts) == 8 and parts[0] == "CEF:0" and parts[6] == "8"
    # Every equals sign that is not escaped belongs to a key.
    keys = re.findall(r"(\w+)(?<!\\)(?:\\\\)*=", " " + parts[7])
    plain = cef(record(), HOST).split("|", 7)[7]
    expected = set(re.findall(r"(\w+)=", plain))
    sixes = {"c6a2", "c6a2Label", "c6a3", "c6a3Label"} if ":" in text else set()
    assert set(keys) <= expected | sixes
    assert len(keys) == len(set(keys))


@settings(max_examples=60, deadline=None)
@given(HOSTILE, st.sampled_from(["rfc5424", "cef", "ecs"]))
def test_a_message_fits_its_transport_and_is_one_line(text: str, form: str) -> None:
    for limit in (DATAGRAM_LIMIT, STREAM_LIMIT):
        made = syslog(hostile(text), form, limit)
        assert len(made) <= limit
        assert made.decode().isprintable() or BOM in made
        assert b"\n" not in made and b"\r" not in made
        assert b"6606" in made  # what matters is never cut
        if form == "ecs":
            body = json.loads(made[made.index(b" - {") + 3 :])
            assert body["destination"]["port"] == 6606


def test_cef_names_what_happened_between_whom() -> None:
    line = cef(record(fields={"state": "a=b|c\\d"}), HOST)
    assert line.startswith("CEF:0|Ratwall|Ratwall|0.1.0|incident_opened|PC-ANNA tried to reach")
    assert " src=192.168.1.10 " in line and " dst=203.0.113.7 dpt=6606 " in line
    assert " act=a\\=b|c\\\\d " in line
    assert f" cs3={SHA256} cs3Label=certificate_sha256" in line
    sixes = cef(record(fields={"server": "2001:db8::7"}), HOST)
    assert " c6a3=2001:db8::7 c6a3Label=Destination IPv6 Address " in sixes and " dst=" not in sixes


def test_ecs_has_each_fact_in_its_place() -> None:
    found = ecs(record(), HOST)
    assert found["@timestamp"] == "2025-06-15T15:06:40.123456Z"
    assert found["event"]["kind"] == "alert" and found["event"]["type"] == ["connection", "denied"]
    assert found["event"]["id"] == f"{record().ledger}-42"
    assert found["source"] == {"ip": "192.168.1.10", "mac": "02-00-00-00-00-10"}
    assert found["destination"] == {"ip": "203.0.113.7", "port": 6606}
    assert found["tls"]["server"]["hash"]["sha256"] == SHA256.upper()
    assert found["threat"]["technique"]["id"] == ["T1573.002"]
    assert found["ratwall"]["rules"] == ["asyncrat.name", "asyncrat.port"]


def test_a_name_of_a_box_is_cut_to_what_a_header_takes() -> None:
    assert host_name("büro box\n") == "brobox"
    assert host_name("") == "-"
    assert len(host_name("a" * 256)) == 255


def test_a_text_is_cut_at_its_limit() -> None:
    assert [len(clean("a" * size, 10)) for size in (9, 10, 11)] == [9, 10, 10]
    assert clean("a" * 11, 10) == "a" * 9 + "…"
    assert clean("a\n\x1b[31m\u202eb") == "a\ufffd\ufffd[31m\ufffdb"


def test_an_instant_has_six_digits() -> None:
    assert instant(1_750_000_000_000_001) == "2025-06-15T15:06:40.000001Z"
