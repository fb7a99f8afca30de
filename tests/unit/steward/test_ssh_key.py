"""A pasted key: what ssh-keygen makes is taken, and nothing that is more or less than a key."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.errors import UsageError
from ratwall.steward.ssh_key import read_key
from unit.steward.conftest import MakeKey


@pytest.mark.parametrize(
    ("kind", "bits"), [("ed25519", None), ("ecdsa", 256), ("ecdsa", 521), ("rsa", 3072)]
)
def test_ssh_keygens_keys_are_taken_with_its_own_fingerprint(
    make_key: MakeKey, tmp_path: Path, kind: str, bits: int | None
) -> None:
    line = make_key(kind, bits)
    key = read_key(f"  {line}\n")
    assert key.text == line.strip()
    file = tmp_path / "key.pub"
    file.write_text(key.text)
    shown = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True)
    assert key.fingerprint in shown.stdout.split()


def test_a_short_rsa_key_is_refused(make_key: MakeKey) -> None:
    with pytest.raises(UsageError, match="fewer than 3072 bits"):
        read_key(make_key("rsa", 2048))


def test_a_private_key_is_refused_and_not_repeated(make_key: MakeKey) -> None:
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"
    with pytest.raises(UsageError, match="is a private key") as refused:
        read_key(secret)
    assert "b3Blbn" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: "",
        lambda line: "ssh-ed25519",
        lambda line: f'command="/bin/sh" {line}',
        lambda line: f"{line}\n{line}",
        lambda line: line.replace("ssh-ed25519", "ssh-dss"),
        lambda line: line.replace("ssh-ed25519", "ssh-rsa"),
        lambda line: " ".join([line.split()[0], line.split()[1][:-8]]),
        lambda line: " ".join([line.split()[0], line.split()[1] + "!"]),
        lambda line: line + "x" * 5_000,
    ],
)
def test_what_is_no_key_is_refused(make_key: MakeKey, change: object) -> None:
    assert callable(change)
    with pytest.raises(UsageError, match=r"^key: "):
        read_key(change(make_key().strip()))


@given(st.text(max_size=200))
def test_nothing_that_is_pasted_trips_it_or_gets_a_second_line_through(text: str) -> None:
    try:
        key = read_key(text)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert "\n" not in key.text and key.text.split()[0] == key.kind


def test_a_comment_is_cut_and_cleaned(make_key: MakeKey) -> None:
    kind, blob, _ = make_key().split()
    key = read_key(f"{kind} {blob} näme\x1b[2J {'x' * 300}")
    assert key.text.isascii() and key.text.isprintable()
    assert len(key.text) < len(kind) + len(blob) + 110
