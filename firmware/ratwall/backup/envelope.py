"""The file around a backup: a header that anybody may read, and a body that needs the passphrase.

Pure: bytes in, bytes out. Argon2id makes two keys of the passphrase: one to encrypt with
(XChaCha20-Poly1305, libsodium), and one that stands in the header, so that a wrong passphrase is
told from a file that was changed. The header is authenticated with the body. Whatever a file says
it costs, it is read only within bounds.

    bytes   0-14   "ratwall backup\\n"
            15     version, 1
            16-19  passes of Argon2id      } little-endian
            20-23  its memory in KiB       }
            24-27  length of the body      }
            28-43  salt
            44-59  check of the passphrase
            60-83  nonce
            84-    body: zlib, encrypted, with a tag of 16 bytes
"""

import hmac
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import nacl.bindings
import nacl.exceptions
import nacl.pwhash.argon2id as argon2id

from ratwall.errors import UsageError

MAGIC: Final = b"ratwall backup\n"
VERSION: Final = 1
HEAD: Final = struct.Struct("<15sBIII16s16s24s")
KEY_BYTES, CHECK_BYTES, SALT_BYTES, NONCE_BYTES, TAG_BYTES = 32, 16, 16, 24, 16
# A second on a Pi 4; the page's unit may use 256 MB, and holds the file and its text besides.
PASSES: Final = 3
MEMORY_KIB: Final = 64 * 1024
PASSES_HIGH: Final = 10  # of a file that is read: nobody shall make the box work for minutes
MEMORY_LOW_KIB, MEMORY_HIGH_KIB = 8, 128 * 1024
TEXT_LIMIT: Final = 4 * 1024 * 1024  # bytes: ten thousand allows, and a large settings file
FILE_LIMIT: Final = 200 * 1024  # bytes, compressed; what a form of the page may carry
PASSPHRASE_LEAST: Final = 12  # characters: whoever has the file may guess for as long as they like
PASSPHRASE_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class Cost:
    """What Argon2id takes; tests take less."""

    passes: int = PASSES
    memory_kib: int = MEMORY_KIB


def check_passphrase(passphrase: str) -> None:
    """UsageError for a passphrase that protects nothing."""
    if not PASSPHRASE_LEAST <= len(passphrase) <= PASSPHRASE_MOST:
        raise UsageError(
            f"the passphrase needs {PASSPHRASE_LEAST} to {PASSPHRASE_MOST} characters; this one "
            f"has {len(passphrase)}"
        )


def seal(
    text: bytes, passphrase: str, random: Callable[[int], bytes], cost: Cost | None = None
) -> bytes:
    """Return a backup file; UsageError for a weak passphrase or too much text."""
    cost = cost or Cost()
    check_passphrase(passphrase)
    packed = zlib.compress(text, 9)
    if len(text) > TEXT_LIMIT or len(packed) + HEAD.size + TAG_BYTES > FILE_LIMIT:
        raise UsageError(
            f"this box has more to keep than a backup holds ({FILE_LIMIT // 1024} KB packed); "
            "take back allows that nobody needs"
        )
    salt, nonce = random(SALT_BYTES), random(NONCE_BYTES)
    key, check = _keys(passphrase, salt, cost)
    length = len(packed) + TAG_BYTES
    head = HEAD.pack(MAGIC, VERSION, cost.passes, cost.memory_kib, length, salt, check, nonce)
    return head + nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(packed, head, nonce, key)


def unseal(file: bytes, passphrase: str) -> bytes:
    """Return what was sealed; UsageError says in one line what is wrong."""
    if len(file) > FILE_LIMIT:
        raise UsageError(f"the file has more than {FILE_LIMIT // 1024} KB: no backup of Ratwall's")
    if not file.startswith(MAGIC):
        raise UsageError("this is no backup of Ratwall's")
    if len(file) < HEAD.size:
        raise UsageError("the backup is not whole: its end is missing")
    _, version, passes, memory, length, salt, check, nonce = HEAD.unpack(file[: HEAD.size])
    if version != VERSION:
        raise UsageError(
            f"the backup has version {version}, and this box reads version {VERSION}; "
            "update the box first"
        )
    body = file[HEAD.size :]
    if len(body) < length:
        raise UsageError(
            f"the backup is not whole: {length - len(body)} of {len(file) - len(body) + length} "
            "bytes are missing"
        )
    if not (
        len(body) == length >= TAG_BYTES
        and 1 <= passes <= PASSES_HIGH
        and MEMORY_LOW_KIB <= memory <= MEMORY_HIGH_KIB
    ):
        raise UsageError(CHANGED)
    key, expected = _keys(passphrase, salt, Cost(passes, memory))
    if not hmac.compare_digest(check, expected):
        raise UsageError("the passphrase is not the one that the backup was made with")
    try:
        packed = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            body, file[: HEAD.size], nonce, key
        )
    except nacl.exceptions.CryptoError as error:
        raise UsageError(CHANGED) from error
    unpack = zlib.decompressobj()
    try:
        text = unpack.decompress(packed, TEXT_LIMIT)
    except zlib.error as error:
        raise UsageError(CHANGED) from error
    if not unpack.eof:
        raise UsageError(CHANGED)
    return text


CHANGED: Final = "the backup was changed or damaged since it was made; nothing of it is used"


def _keys(passphrase: str, salt: bytes, cost: Cost) -> tuple[bytes, bytes]:
    made = argon2id.kdf(
        KEY_BYTES + CHECK_BYTES,
        passphrase.encode("utf-8", "replace"),
        salt,
        opslimit=cost.passes,
        memlimit=cost.memory_kib * 1024,
    )
    return made[:KEY_BYTES], made[KEY_BYTES:]
