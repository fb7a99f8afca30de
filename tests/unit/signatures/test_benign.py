"""No pack may cut, or raise an alert for, what honest servers and the box itself look like."""

import pytest

from ratwall.errors import UsageError
from ratwall.signatures.benign import OWN, Sample, certificates, refuse_harmful, samples
from ratwall.signatures.pack import Pack, load_packs, read_pack
from ratwall.wire.x509.certificate import parse_certificate
from unit.signatures.packs import pack
from unit.wire.x509.minting import mint

SHIPPED = load_packs()
HONEST = samples()


def read(words: str = "testrat server", extra: str = "") -> Pack:
    return read_pack(pack(words=words) + extra.encode(), "a.toml")


def test_there_are_samples_of_every_kind_and_each_is_read() -> None:
    names = {sample.certificate.subject.values("CN")[:1] for sample in HONEST}
    assert len(HONEST) == 60
    assert {("www.google.com",), ("fritz.box",), ("HP0A1B2C",), ("OpenVPN Server CA",)} <= names


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda each: each.name)
def test_the_packs_shipped_match_none(shipped: Pack) -> None:
    refuse_harmful(shipped, SHIPPED, HONEST, shipped.name)


def test_a_good_pack_is_let_through() -> None:
    refuse_harmful(read(), SHIPPED, HONEST, "a.toml")


@pytest.mark.parametrize(
    "words", ["google", "let s encrypt", "server ca", "localhost", "fritz box", "bouncy castle"]
)
def test_a_careless_name_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match=r'a\.toml: refused: rule "testrat\.name" would cut off'):
        refuse_harmful(read(words), SHIPPED, HONEST, "a.toml")


def test_a_port_does_not_make_a_careless_rule_harmless() -> None:
    with pytest.raises(UsageError, match="would cut off"):
        refuse_harmful(read("google", "port = [6606]\nsni = false\n"), SHIPPED, HONEST, "a.toml")


def test_what_a_rule_asks_of_the_certificate_besides_does() -> None:
    refuse_harmful(read("google", "self_issued = true\n"), SHIPPED, HONEST, "a.toml")


def weak(group: str, condition: str) -> str:
    return f"""
[[rule]]
id = "testrat.{group}"
group = "{group}"
points = 40
reason = "It is often so."
text = "It is so."
[rule.when]
{condition}
"""


def test_weak_facts_that_add_up_to_an_alert_for_everybody_are_refused() -> None:
    one = read(extra=weak("certificate", "validity_days = [90]"))
    refuse_harmful(one, SHIPPED, HONEST, "a.toml")
    two = read(extra=weak("certificate", "validity_days = [90]") + weak("port", "port = [443]"))
    with pytest.raises(UsageError, match=r"would raise an alert \([0-9]+ points, from 60 on\)"):
        refuse_harmful(two, SHIPPED, HONEST, "a.toml")


def test_the_boxs_own_certificate_is_honest() -> None:
    own = Sample(OWN, parse_certificate(mint("ratwall")))
    refuse_harmful(read("ratwall"), SHIPPED, HONEST, "a.toml")
    with pytest.raises(UsageError, match="would cut off the certificate of this box's own page"):
        refuse_harmful(read("ratwall"), SHIPPED, [own], "a.toml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_is_passed_over(text: str) -> None:
    assert list(certificates(text)) == []
