"""Conditions one by one, and the matching of rules in groups."""

import tomllib
from datetime import datetime

import pytest
from cryptography.hazmat.primitives import hashes

from ratwall.signatures.conditions import CONDITIONS, NAME_VALUE_LIMIT, Sight
from ratwall.signatures.match import QUOTED_NAME_LIMIT, match
from ratwall.signatures.pack import Pack, load_packs
from ratwall.verdict.judge import Thresholds, Verdict, weigh
from ratwall.wire.tls.facts import Anomaly, TlsFacts
from unit.signatures.seen import HTTPS, asyncrat_hello, at_port, facts, hello
from unit.wire.x509.minting import (
    AKI,
    CA,
    SAN,
    SKI,
    assemble,
    composite,
    days_3935,
    ec_key,
    mint,
    name,
    plain_name,
    prime,
    rsa_key,
)

PACKS = load_packs()
NEVER = datetime.fromisoformat("9999-12-31T23:59:59Z")


def holds(condition: str, value: object, seen: TlsFacts, port: int = 443) -> bool:
    assert CONDITIONS[condition].accepts(value), "the value is one that a pack may have"
    return CONDITIONS[condition].compiled(value)(Sight(seen, at_port(port)))


PRIME, ODD = facts(mint(serial=prime(120))), facts(mint(serial=composite(120)))
DCRAT = facts(mint("DcRat", issuer=name(("CN", "Root"), ("C", "CN")), **days_3935()))  # type: ignore[arg-type]
CURVE = facts(mint(key=ec_key(), digest=hashes.SHA256(), extensions=(CA, SKI, AKI, SAN)))
STRANGER = facts(mint(issuer=name(("CN", "Root")), signer=rsa_key(number=1)))
SMALL = facts(mint("Laden Süd", key=rsa_key(4096)))

YES_AND_NO: list[tuple[str, object, TlsFacts, TlsFacts]] = [
    ("sni", False, facts(client=hello()), facts(client=hello(name=True))),
    ("sni", True, facts(client=hello(name=True)), facts(client=hello())),
    ("sni", False, facts(client=hello()), facts()),
    (
        "offered_version",
        ["TLS 1.0"],
        facts(client=hello(version=0x0301)),
        facts(client=hello(version=0x0303)),
    ),
    ("offered_version", ["TLS 1.0"], facts(client=hello(version=0x0301)), facts()),
    (
        "ja3",
        ["fc54e0d16d9764783542f0146a98b300"],
        facts(client=asyncrat_hello()),
        facts(client=hello()),
    ),
    (
        "ja4",
        ["t10i070500_c50f5591e341_950472255fe9"],
        facts(client=asyncrat_hello()),
        facts(client=hello()),
    ),
    (
        "anomaly",
        ["oversized handshake"],
        facts(anomalies={Anomaly.OVERSIZED_HANDSHAKE}),
        facts(anomalies={Anomaly.CHANGED_CERTIFICATE}),
    ),
    ("chain_length", [1], facts(mint()), facts(mint(), chain=2)),
    ("defects", True, facts(mint() + b"\0"), facts(mint())),
    ("name_words", ["dcrat"], DCRAT, facts(mint("DcRation"))),
    ("name_words", ["root"], DCRAT, PRIME),
    ("name_words", ["acme printing"], PRIME, DCRAT),
    ("name_words", ["acme printing"], facts(mint("ACME-Printing_2")), facts(mint("acmeprinting"))),
    ("common_name_suffix", ["RAT Server"], facts(mint("SantaRAT Server")), facts(mint("Rat"))),
    ("common_name_suffix", ["RAT Server"], facts(mint("XRAT Server")), facts(mint("RAT Server"))),
    ("self_issued", True, PRIME, DCRAT),
    ("own_key", True, DCRAT, STRANGER),
    ("own_key", True, DCRAT, CURVE),
    ("subject_attributes", ["CN"], PRIME, facts(mint(subject=name(("O", "x"), ("CN", "y"))))),
    ("not_after", NEVER, PRIME, DCRAT),
    ("validity_days", [3935], DCRAT, PRIME),
    ("key_type", ["rsa"], PRIME, CURVE),
    ("key_bits", [2048], PRIME, CURVE),
    ("signature_algorithm", ["sha512WithRSAEncryption"], PRIME, CURVE),
    ("is_ca", True, PRIME, facts(mint(extensions=()))),
    ("is_ca", False, facts(mint(extensions=())), PRIME),
    ("extensions", ["2.5.29.14", "2.5.29.19 critical"], PRIME, CURVE),
    ("extensions", ["2.5.29.14", "2.5.29.19 critical"], PRIME, facts(mint(extensions=(CA, SKI)))),
    ("lacks_extensions", ["2.5.29.17"], PRIME, CURVE),
    ("serial_prime_bits", [120, 160], PRIME, ODD),
    ("serial_prime_bits", [120], PRIME, facts(mint(serial=prime(119)))),
    ("der_length", 1240, SMALL, facts(mint("Laden Süd"))),
]


@pytest.mark.parametrize(("condition", "value", "yes", "no"), YES_AND_NO)
def test_a_condition_holds_for_one_and_not_for_the_other(
    condition: str, value: object, yes: TlsFacts, no: TlsFacts
) -> None:
    assert holds(condition, value, yes)
    assert not holds(condition, value, no)


def test_the_port_is_the_server_s() -> None:
    assert holds("port", [6606, 7707], facts(), 7707)
    assert not holds("port", [6606, 7707], facts(), 443)


def test_every_condition_is_tried_above() -> None:
    assert {condition for condition, *_ in YES_AND_NO} | {"port"} == set(CONDITIONS)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_condition_on_a_certificate_holds_without_one(condition: str) -> None:
    for tried, value, *_ in YES_AND_NO:
        if tried == condition and CONDITIONS[condition].of_certificate:
            assert not holds(condition, value, facts())


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_words_are_looked_for_in_the_first_part_of_a_value(extra: int) -> None:
    filler = "x" * (NAME_VALUE_LIMIT + extra - len(" dcrat"))
    long_name = plain_name(f"{filler} dcrat".encode())
    assert holds("name_words", ["dcrat"], facts(assemble(subject=long_name))) is (extra <= 0)


# --- groups ------------------------------------------------------------------------------------


def ids(seen: TlsFacts, port: int = 443) -> set[str]:
    return {item.id for item in match(PACKS, seen, at_port(port))}


def test_facts_that_say_the_same_count_once() -> None:
    """The hello of AsyncRAT matches by JA3, by JA4, as old TLS without a name, as nameless."""
    assert ids(facts(client=asyncrat_hello())) == {"asyncrat.hello-ja3"}


def test_a_name_a_shape_a_hello_and_a_port_count_each() -> None:
    seen = facts(mint("AsyncRAT Server"), client=asyncrat_hello())
    assert ids(seen, 6606) == {
        "asyncrat.name",
        "asyncrat.hello-ja3",
        "asyncrat.port",
        "bouncycastle.never-ends",
    }


def test_nothing_matches_nothing() -> None:
    assert match(PACKS, facts(client=hello(name=True)), HTTPS) == ()
    assert match((), facts(mint("AsyncRAT Server")), HTTPS) == ()


def test_the_order_of_packs_does_not_decide_the_verdict() -> None:
    seen = facts(mint("AsyncRAT Server"), client=asyncrat_hello())
    forwards, backwards = (
        weigh(match(packs, seen, at_port(6606)), Thresholds()) for packs in (PACKS, PACKS[::-1])
    )
    assert (backwards.score, backwards.family) == (forwards.score, forwards.family)


@pytest.mark.parametrize("anomaly", Anomaly)
def test_every_anomaly_is_watched(anomaly: Anomaly) -> None:
    seen = facts(client=hello(name=True), anomalies={anomaly})
    assert weigh(match(PACKS, seen, HTTPS), Thresholds()).verdict is Verdict.WATCH


def test_a_certificate_that_only_some_accept_is_watched() -> None:
    seen = facts(mint(serial=composite(64), extensions=(CA, AKI)) + b"\0", client=hello(name=True))
    assert ids(seen) == {"general.malformed-certificate"}


# --- texts -------------------------------------------------------------------------------------

QUOTING = """
name = "quote"
version = 1
about = "For tests"
[[rule]]
id = "quote.all"
group = "port"
points = 1
reason = "because"
text = "“{common_name}” at {port}."
[rule.when]
port = [1, 443]
"""


@pytest.fixture
def quoting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pack, ...]:
    assert tomllib.loads(QUOTING)
    folder = tmp_path_factory.mktemp("packs")
    (folder / "quote.toml").write_text(QUOTING)
    return load_packs(folder)


def quoted(packs: tuple[Pack, ...], seen: TlsFacts) -> str:
    return match(packs, seen, HTTPS)[0].text


def test_texts_quote_name_and_port(quoting: tuple[Pack, ...]) -> None:
    assert quoted(quoting, facts(mint("DcRat"))) == "“DcRat” at 443."
    assert quoted(quoting, facts(mint("{port}"))) == "“{port}” at 443."
    assert quoted(quoting, facts()) == "“without a name” at 443."


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_quoted_name_is_cut(extra: int, quoting: tuple[Pack, ...]) -> None:
    size = QUOTED_NAME_LIMIT + extra
    shown = quoted(quoting, facts(assemble(subject=plain_name(b"n" * size))))
    kept = "n" * size if extra <= 0 else "n" * (QUOTED_NAME_LIMIT - 1) + "…"
    assert shown == f"“{kept}” at 443."


def test_evidence_as_records_carry_it(quoting: tuple[Pack, ...]) -> None:
    assert match(quoting, facts(mint("x")), HTTPS)[0].as_dict() == {
        "id": "quote.all",
        "points": 1,
        "text": "“x” at 443.",
        "technique": None,
    }
