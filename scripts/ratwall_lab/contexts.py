"""TLS settings of the lab's servers and clients, from TLS 1.0 (which OpenSSL has put away) to 1.3.

It never verifies a RAT's certificate (they do not either: they compare it with a copy) and always
verifies an honest site's when a trust root is given.
"""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path
from typing import Literal

from ratwall_lab.certificates import Identity

Version = Literal["1.0", "1.1", "1.2", "1.3"]
Resumption = Literal["session-id", "ticket"]

VERSIONS: dict[Version, ssl.TLSVersion] = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
# Security level 0 lets OpenSSL 3 speak TLS 1.0 and 1.1 and use RSA-1024 at all.
ANYTHING = "ALL:@SECLEVEL=0"
# What Schannel picks with a RAT: 0xC014 up to TLS 1.1, 0xC030 under TLS 1.2.
SCHANNEL_PICK = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-SHA:@SECLEVEL=0"

SCHANNEL_CURVE = "secp384r1"  # the 97-byte point behind the measured ServerKeyExchange of 619 bytes
# Options of OpenSSL that Python has no name for (openssl/ssl.h). Schannel neither sends an empty
# record before each CBC record nor knows encrypt-then-MAC: both would change every record's size.
OP_DONT_INSERT_EMPTY_FRAGMENTS = 1 << 11
OP_NO_ENCRYPT_THEN_MAC = 1 << 19


def server_context(
    identity: Identity,
    lowest: Version = "1.2",
    highest: Version = "1.3",
    *,
    ciphers: str | None = None,
    resumption: Resumption = "ticket",
) -> ssl.SSLContext:
    """Return a server's settings; `resumption` says how a client may come back."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Ciphers first: their security level decides whether an RSA-1024 key may be loaded.
    context.set_ciphers(ciphers or ANYTHING)
    context.load_cert_chain(identity.chain_file, identity.key_file)
    _limit(context, lowest, highest)
    if resumption == "session-id":
        context.options |= ssl.OP_NO_TICKET
    return context


def rat_server_context(
    identity: Identity, version: Version, resumption: Resumption = "session-id"
) -> ssl.SSLContext:
    """Return the settings of a C2 look-alike: one version, Schannel's choice of cipher."""
    context = server_context(
        identity, version, version, ciphers=SCHANNEL_PICK, resumption=resumption
    )
    context.options |= OP_DONT_INSERT_EMPTY_FRAGMENTS | OP_NO_ENCRYPT_THEN_MAC
    if version != "1.3":  # there it would only cost a HelloRetryRequest
        context.set_ecdh_curve(SCHANNEL_CURVE)
    return context


def client_context(
    lowest: Version = "1.2",
    highest: Version = "1.3",
    *,
    trust: Path | None = None,
    ciphers: str | None = None,
) -> ssl.SSLContext:
    """Return a client's settings; it verifies the server when given a root to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trust)
    context.set_ciphers(ciphers or (ANYTHING if lowest in ("1.0", "1.1") else "DEFAULT"))
    _limit(context, lowest, highest)
    return context


def rat_client_context(version: Version) -> ssl.SSLContext:
    """Return the settings of a RAT look-alike: one version, no verification, no ALPN."""
    context = client_context(version, version, ciphers=ANYTHING)
    context.options |= OP_DONT_INSERT_EMPTY_FRAGMENTS | OP_NO_ENCRYPT_THEN_MAC
    # Schannel resumes whether the server said goodbye or not; OpenSSL (3.5) only if told.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def _limit(context: ssl.SSLContext, lowest: Version, highest: Version) -> None:
    with warnings.catch_warnings():
        # Python warns of TLS 1.0 and 1.1, rightly; here they are the subject.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = VERSIONS[lowest]
        context.maximum_version = VERSIONS[highest]
