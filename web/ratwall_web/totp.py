"""The second step of a sign-in: six digits that a phone makes anew every half minute (RFC 6238).

Pure: secret and time are passed in. HMAC-SHA-1 with six digits and 30 seconds is the one choice
that every app on a phone knows; SHA-1 is as good as ever inside an HMAC. Recovery codes stand in
for a lost phone: random, kept as hashes, each good once.
"""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20  # 160 bits, as RFC 4226 recommends
# A phone's clock, and a slow thumb: the step before and the one after count too (RFC 6238 §5.2).
DRIFT = 1
ISSUER = "Ratwall"
RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 bits: nobody guesses one, so one round of SHA-256 keeps it well
RECOVERY_LENGTH = RECOVERY_BYTES * 8 // 5
GROUP = 4


def new_secret() -> str:
    """Return a new secret, in base32 as apps take it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """Return the code of a step (RFC 4226 §5.3)."""
    digest = hmac.new(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: str, typed: str, seconds: float, after: int) -> int | None:
    """Return the step whose code was typed, None if there is none later than `after`.

    `seconds` is UTC. The same work whichever of the three it is. A step that is still to come was
    used under a clock that has been put right since: it counts for nothing.
    """
    code = digits_of(typed)
    now = int(seconds) // STEP_S
    if after > now + DRIFT:
        after = -1
    found = None
    for step in range(max(0, now - DRIFT), now + DRIFT + 1):
        right = hmac.compare_digest(code.encode(), code_at(secret, step).encode())
        if right and step > after and found is None:
            found = step
    return found


def digits_of(typed: str) -> str:
    """Return what was typed without the spaces that apps show between the digits."""
    return "".join(typed.split())


def uri(secret: str, user: str, box: str) -> str:
    """Return what the square picture says to an app."""
    label = quote(f"{ISSUER}:{user}@{box}")
    query = urlencode({"secret": secret, "issuer": ISSUER, "digits": DIGITS, "period": STEP_S})
    return f"otpauth://totp/{label}?{query}"


def new_recovery_codes() -> tuple[str, ...]:
    """Return codes to be printed: four groups of four letters and digits each."""
    return tuple(
        grouped(base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower())
        for _ in range(RECOVERY_CODES)
    )


def grouped(text: str) -> str:
    """Return a text in groups that an eye can follow."""
    return "-".join(text[at : at + GROUP] for at in range(0, len(text), GROUP))


def recovery_digest(typed: str) -> str | None:
    """Return the hash by which a recovery code is kept, None for what cannot be one."""
    plain = "".join(char for char in typed.lower() if char not in " -\u2010\u2011\u2013\t")
    if len(plain) != RECOVERY_LENGTH or not plain.isascii():
        return None
    return hashlib.sha256(plain.encode()).hexdigest()
