"""Real public keys, made by ssh-keygen: our reader's independent judge."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MakeKey = Callable[..., str]


@pytest.fixture(scope="session")
def make_key(tmp_path_factory: pytest.TempPathFactory) -> MakeKey:
    """Makes a key pair; returns the public line, the private file lies beside it."""
    folder = tmp_path_factory.mktemp("keys")

    def make(kind: str = "ed25519", bits: int | None = None, name: str = "key") -> str:
        path: Path = folder / f"{name}-{kind}-{bits}"
        if not path.exists():
            size = [] if bits is None else ["-b", str(bits)]
            subprocess.run(
                ["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "anna@shop", "-f", path],
                check=True,
            )
        return path.with_suffix(".pub").read_text()

    return make
