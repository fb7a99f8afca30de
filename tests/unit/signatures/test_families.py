"""The packs shipped against the families: by name, by shape, and what forks may change."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from corpus import CERTIFICATES, require_corpus
from ratwall.signatures.pack import Pack, load_packs
from ratwall.verdict.judge import Judgement, Thresholds, Verdict, judge
from unit.signatures.seen import HTTPS, asyncrat_hello, facts, hello
from unit.wire.x509.minting import (
    AKI,
    CA,
    MADE,
    SAN,
    SKI,
    composite,
    days_3935,
    ec_key,
    mint,
    name,
    prime,
    rsa_key,
)

PACKS = load_packs()
BY_SHAPE = tuple(pack for pack in PACKS if pack.name == "bouncycastle")
BY_NAME = tuple(pack for pack in PACKS if pack.name != "bouncycastle")
TEN_YEARS = {"made": MADE, "until": MADE + timedelta(days=3650)}


def judged(der: bytes, packs: tuple[Pack, ...] = PACKS, **seen: object) -> Judgement:
    return judge(packs, Thresholds(), facts(der, **seen), HTTPS, None, 0)  # type: ignore[arg-type]


# --- the genuine ones --------------------------------------------------------------------------

# What each of the ten is called, and whether a name is left to recognise it by.
RENAMED = {"b0255eb583cc88c47379e606f56f2045bb19dd5e"}  # CN=WorldWind Stealer, shape only


def genuine() -> list[dict[str, str]]:
    require_corpus()
    return [json.loads(line) for line in (CERTIFICATES / "index.jsonl").read_text().splitlines()]


def test_each_genuine_certificate_is_blocked_by_its_shape() -> None:
    for row in genuine():
        judgement = judged((CERTIFICATES / f"{row['sha1']}.der").read_bytes(), BY_SHAPE)
        assert judgement.verdict is Verdict.BLOCK, row
        lineage = "DcRat" if row["family"] in ("DcRat", "VenomRAT") else "AsyncRAT"
        assert judgement.family == f"{lineage} lineage", row


def test_each_genuine_certificate_with_a_name_is_blocked_by_it() -> None:
    for row in genuine():
        judgement = judged((CERTIFICATES / f"{row['sha1']}.der").read_bytes(), BY_NAME)
        if row["sha1"] in RENAMED:
            assert judgement.verdict is Verdict.CLEAN
        else:
            assert (judgement.verdict, judgement.family) == (Verdict.BLOCK, row["family"])


# --- names -------------------------------------------------------------------------------------

QWQDANCHUN = (("OU", "qwqdanchun"), ("O", "DcRat By qwqdanchun"), ("L", "SH"), ("C", "CN"))
VENOM = (("OU", "qwqdanchun"), ("O", "VenomRAT By qwqdanchun"), ("L", "SH"), ("C", "CN"))


@pytest.mark.parametrize(
    ("subject", "issuer", "family"),
    [
        ((("CN", "AsyncRAT Server"),), None, "AsyncRAT"),
        ((("CN", "asyncrat-server 2"),), None, "AsyncRAT"),
        ((("CN", "DcRat"),), (("CN", "DcRat Server"), *QWQDANCHUN), "DcRat"),
        ((("CN", "DcRat"),), (("CN", "Loader Panel"), *QWQDANCHUN), "DcRat"),
        ((("CN", "Client"),), (("CN", "Server"), ("OU", "qwqdanchun")), "DcRat"),
        ((("CN", "VenomRAT"),), (("CN", "MONEY"), *VENOM), "VenomRAT"),
        ((("CN", "BoratRat Server"),), (("CN", "x"), ("OU", "qwqdanchun")), "BoratRAT"),
        ((("CN", "Quasar Server CA"),), None, "Quasar"),
        ((("CN", "SXN Server CA"),), None, "Quasar fork"),
        ((("CN", "Anony96"),), None, "Quasar fork"),
        ((("CN", "ElegyRAT Server"),), None, "ElegyRAT"),
        ((("CN", "x"),), (("CN", "BitRAT"),), "BitRAT"),
        ((("CN", "SantaRAT Server"),), None, "AsyncRAT lineage"),
    ],
)
def test_a_family_s_name_alone_blocks(
    subject: tuple[tuple[str, str], ...],
    issuer: tuple[tuple[str, str], ...] | None,
    family: str,
) -> None:
    der = mint(
        subject=name(*subject), issuer=name(*issuer) if issuer else None, serial=composite(64)
    )
    judgement = judged(der, BY_NAME)
    assert (judgement.verdict, judgement.family) == (Verdict.BLOCK, family)


# --- the shape, whatever the name --------------------------------------------------------------


@pytest.mark.parametrize("bits", [120, 160])
@pytest.mark.parametrize("key_bits", [1024, 2048, 4096])
def test_the_stock_shape_blocks_with_any_key_size(bits: int, key_bits: int) -> None:
    judgement = judged(mint(serial=prime(bits), key=rsa_key(key_bits)))
    assert (judgement.verdict, judgement.family) == (Verdict.BLOCK, "AsyncRAT lineage")


@pytest.mark.parametrize("self_issued", [True, False])
@pytest.mark.parametrize("key_bits", [1024, 2048])
def test_dcrat_s_shape_blocks_with_any_names(self_issued: bool, key_bits: int) -> None:
    issuer = None if self_issued else name(("CN", "Root"), ("O", "Acme"))
    der = mint(issuer=issuer, serial=prime(160), key=rsa_key(key_bits), **days_3935())  # type: ignore[arg-type]
    judgement = judged(der)
    assert (judgement.verdict, judgement.family) == (Verdict.BLOCK, "DcRat lineage")


INVENTED = name(("CN", "Root"), ("O", "Acme"))

ONE_HABIT_CHANGED = {
    "another hash": {"digest": hashes.SHA256()},
    "an elliptic curve": {"key": ec_key(), "digest": hashes.SHA256()},
    "no extensions": {"extensions": ()},
    "one extension more": {"extensions": (SKI, AKI, CA)},
    "ten years": TEN_YEARS,
    "another hash, 3935 days": {"digest": hashes.SHA256(), **days_3935()},
    "no extensions, 3935 days": {"extensions": (), **days_3935()},
    "an invented issuer, ten years": {"issuer": INVENTED, **TEN_YEARS},
}


@pytest.mark.parametrize("change", ONE_HABIT_CHANGED)
@pytest.mark.parametrize("bits", [120, 160])
def test_a_fork_that_changes_one_habit_is_still_blocked(change: str, bits: int) -> None:
    der = mint(serial=prime(bits), **ONE_HABIT_CHANGED[change])  # type: ignore[arg-type]
    assert judged(der).verdict is Verdict.BLOCK


def test_a_fork_without_the_prime_is_reported_when_it_says_hello_like_the_family() -> None:
    der = mint(serial=composite(120))
    assert judged(der).verdict is Verdict.WATCH
    assert judged(der, client=asyncrat_hello()).verdict is Verdict.ALERT


def test_a_fork_without_the_prime_but_of_exact_size_is_reported_without_a_server_name() -> None:
    der = mint(serial=composite(120), key=rsa_key(4096))
    assert judged(der, client=hello(name=True)).verdict is Verdict.WATCH
    assert judged(der, client=hello()).verdict is Verdict.ALERT


def test_a_second_certificate_in_the_chain_does_not_hide_the_stock_shape() -> None:
    assert judged(mint(), chain=2).verdict is Verdict.BLOCK


@pytest.mark.parametrize("trick", ["trailing bytes", "long lengths", "indefinite length"])
def test_encodings_that_only_windows_accepts_do_not_hide_the_shape(trick: str) -> None:
    der = mint()
    odd = {
        "trailing bytes": der + b"\0\0",
        "long lengths": b"\x30\x84\0\0" + der[2:],
        "indefinite length": b"\x30\x80" + der[4:] + b"\0\0",
    }[trick]
    with pytest.raises(ValueError, match=r".*"):
        x509.load_der_x509_certificate(odd)
    assert judged(odd).verdict is Verdict.BLOCK


# --- honest look-alikes ------------------------------------------------------------------------

A_YEAR = {"made": MADE, "until": datetime(2025, 1, 23, tzinfo=UTC)}

HONEST = {
    "a public authority's": dict(
        subject=name(("CN", "shop.example")),
        issuer=name(("C", "US"), ("O", "Trust"), ("CN", "R3")),
        signer=rsa_key(number=1),
        serial=composite(128),
        extensions=(CA, AKI, SAN),
        digest=hashes.SHA256(),
        **A_YEAR,
    ),
    "an appliance that never ends": {"serial": composite(64), "extensions": (SKI, AKI, CA)},
    "openssl's default": dict(
        serial=composite(159), extensions=(SKI, AKI, CA), digest=hashes.SHA256(), **A_YEAR
    ),
    "a company's Server CA": dict(
        subject=name(("CN", "host.quasar.example")),
        issuer=name(("O", "Quasar Ltd"), ("CN", "Quasar Server CA")),
        signer=rsa_key(number=1),
        extensions=(AKI,),
        **A_YEAR,
    ),
    "a Server CA that serves itself": dict(
        subject=name(("O", "Quasar Ltd"), ("CN", "Quasar Server CA")),
        serial=composite(64),
        **A_YEAR,
    ),
    "a bit rate monitor": {"common_name": "Bitrate Monitor", "serial": composite(64)},
    "a karat server": dict(common_name="Karat Server", serial=composite(64), **A_YEAR),
    "a site about the trojan": dict(
        subject=name(("CN", "asyncrat.example")),
        issuer=name(("O", "Trust"), ("CN", "R3")),
        signer=rsa_key(number=1),
        extensions=(SKI, CA, SAN),
        **A_YEAR,
    ),
    "a prime serial for a web site": {"extensions": (SKI, CA, SAN), "serial": prime(120)},
}


@pytest.mark.parametrize(
    "kind", [kind for kind in HONEST if kind != "BouncyCastle's copied sample"]
)
def test_honest_look_alikes_are_not_reported(kind: str) -> None:
    der = mint(**HONEST[kind])  # type: ignore[arg-type]
    chain = 1 if HONEST[kind].get("issuer") is None else 2
    for client in (hello(name=True), hello()):
        assert judged(der, client=client, chain=chain).verdict in (Verdict.CLEAN, Verdict.WATCH)


def test_bouncycastle_s_copied_sample_is_watched_and_not_blocked() -> None:
    """Honest .NET programs draw 120-bit primes too; the prime decides nothing alone."""
    der = mint(serial=prime(120), extensions=(AKI,), digest=hashes.SHA256(), **TEN_YEARS)  # type: ignore[arg-type]
    assert judged(der, client=hello(name=True)).verdict is Verdict.WATCH
    assert judged(der, client=hello()).verdict is Verdict.WATCH
    assert judged(der, client=asyncrat_hello()).verdict is not Verdict.BLOCK


def test_the_suspicious_tests_are_not_paid_for_by_honest_certificates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Primality and signatures cost up to a millisecond: only a suspect certificate pays."""
    from ratwall.wire.x509.certificate import Certificate

    def refuse(self: Certificate) -> bool:
        raise AssertionError("asked without suspicion")

    monkeypatch.setattr(Certificate, "serial_is_prime", refuse)
    monkeypatch.setattr(Certificate, "self_signature", refuse)
    for kind in ("a public authority's", "openssl's default", "a company's Server CA"):
        judged(mint(**HONEST[kind]), client=hello())  # type: ignore[arg-type]
