"""What can be had of a box is shown, what cannot is left out: the page never fails."""

import hashlib
import ssl
from pathlib import Path

import pytest

from ratwall.console import facts
from ratwall.console.facts import gather
from ratwall.errors import RatwallError
from ratwall.update.attempt import Attempt
from ratwall.update.place import Place, keep_attempt
from unit.wire.x509.minting import mint


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    state, runtime, settings = (tmp_path / name for name in ("state", "run", "etc"))
    for folder in (state / "web", runtime, settings):
        folder.mkdir(parents=True)
    return state, runtime, settings


def test_an_empty_box_has_a_page_too(
    places: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> list[str]:
        raise RatwallError("ip not found")

    monkeypatch.setattr(facts, "own_addresses", refused)
    found = gather(*places)
    assert found.version and found.name
    assert (found.state, found.fingerprint, found.setup_code, found.problem) == (None,) * 4
    assert found.addresses == ()


def test_what_lies_there_is_shown(
    places: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, runtime, settings = places
    found = ["127.0.0.1", "2001:db8::7", "fe80::1", "192.0.2.7", "::1"]
    monkeypatch.setattr(facts, "own_addresses", lambda: found)
    certificate = mint()
    (state / "web/tls.crt").write_text(ssl.DER_cert_to_PEM_cert(certificate))
    (state / "web/setup-code").write_text("12345678\n")
    (runtime / "seed-problem").write_text("ratwall.toml: [site] nome: unknown key\n")
    (settings / "site-name").write_text("Huber bakery\n")
    page = gather(*places)
    assert page.addresses == ("192.0.2.7", "2001:db8::7"), "those that a browser takes"
    assert page.fingerprint == "SHA256:" + hashlib.sha256(certificate).digest().hex(":").upper()
    assert (page.setup_code, page.site) == ("12345678", "Huber bakery")
    assert page.problem is not None and "nome" in page.problem
    (runtime / "settings-problem").write_text("settings.toml: watch\n")
    assert gather(*places).problem == "settings.toml: watch", "the more urgent one"


def test_a_torn_certificate_is_no_reason_to_fail(places: tuple[Path, Path, Path]) -> None:
    (places[0] / "web/tls.crt").write_bytes(b"-----BEGIN\xff")
    assert gather(*places).fingerprint is None


def test_a_failed_update_is_told_with_its_reason(
    places: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    assert gather(*places, tmp_path).update is None
    keep_attempt(Place(tmp_path), Attempt("0.2.0", "B", "0.1.0", 1, "b").end(2, "it did not start"))
    told = gather(*places, tmp_path).update
    assert told is not None and "0.2.0 did not work" in told and "it did not start" in told
