"""Private keys of the lab, made once and kept in a directory (RSA-4096 takes seconds to make).

It never writes into the repository: the default directory is below `build/`, which is ignored.
Design note: a key is published with a hard link, which fails when the name exists; two labs that
make the same key at the same time therefore end up with the same one.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

KeyKind = Literal["rsa1024", "rsa2048", "rsa4096", "ec256"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

DEFAULT_DIRECTORY = Path(__file__).resolve().parents[2] / "build" / "lab-keys"
PUBLIC_EXPONENT = 65537  # what every library uses, BouncyCastle too
MILLER_RABIN_ROUNDS = 40  # error below 4^-40 for a number that nobody chose against us
SMALL_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def is_probable_prime(number: int) -> bool:
    """Say whether `number` is prime, by Miller-Rabin with random bases."""
    if number < 2:
        return False
    for prime in SMALL_PRIMES:
        if number % prime == 0:
            return number == prime
    shift = ((number - 1) & -(number - 1)).bit_length() - 1
    odd = (number - 1) >> shift
    for _ in range(MILLER_RABIN_ROUNDS):
        power = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(shift - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def random_prime(bits: int) -> int:
    """Return a random prime of exactly `bits` bits, as `BigInteger.ProbablePrime(bits)` does."""
    while True:
        number = secrets.randbits(bits) | 1 << (bits - 1) | 1
        if is_probable_prime(number):
            return number


@dataclass(frozen=True, slots=True)
class KeyCabinet:
    """The directory of keys; a key is known by its kind and a number."""

    directory: Path = DEFAULT_DIRECTORY

    def path(self, kind: KeyKind, number: int = 0) -> Path:
        """Return the PEM file of a key, made now if nobody made it before."""
        path = self.directory / f"{kind}-{number}.pem"
        if not path.exists():
            self._publish(path, _generate(kind))
        return path

    def key(self, kind: KeyKind, number: int = 0) -> PrivateKey:
        """Return a key, made now if nobody made it before."""
        loaded = serialization.load_pem_private_key(self.path(kind, number).read_bytes(), None)
        if not isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.path(kind, number)} holds a {type(loaded).__name__}")
        return loaded

    def _publish(self, path: Path, key: PrivateKey) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{secrets.token_hex(8)}")
        draft.touch(mode=0o600)
        draft.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another lab was faster: its key is as good as ours
        finally:
            draft.unlink()


def _generate(kind: KeyKind) -> PrivateKey:
    if kind == "ec256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(PUBLIC_EXPONENT, int(kind.removeprefix("rsa")))
