"""Whether a certificate was signed with the key it carries: RSASSA-PKCS1-v1_5 with `pow`.

It never builds a chain and never calls a signature trusted; it only proves who made it.

Design note: DcRat's routine writes an issuer that differs from the subject, so comparing names
does not tell a self-made certificate; the signature does. It costs about a millisecond and is
asked for on suspicion only.
"""

import hashlib

# Windows keeps the public exponent in 32 bits (RSAPUBKEY.pubexp); a longer one would only serve
# to make the exponentiation slow.
EXPONENT_BITS_LIMIT = 32

# Twice the largest key that any family makes; the cost grows with the square.
MODULUS_BITS_LIMIT = 8192

# DigestInfo up to the digest, with the NULL parameter and, as RFC 8017 §9.2 note 1 lets a verifier
# accept, without it.
_OID_TAIL = {
    "md5": "2a864886f70d0205",
    "sha1": "2b0e03021a",
    "sha224": "608648016503040204",
    "sha256": "608648016503040201",
    "sha384": "608648016503040202",
    "sha512": "608648016503040203",
}
_DIGESTS = {
    "md5WithRSAEncryption": "md5",
    "sha1WithRSAEncryption": "sha1",
    "sha1WithRSA": "sha1",
    "sha224WithRSAEncryption": "sha224",
    "sha256WithRSAEncryption": "sha256",
    "sha384WithRSAEncryption": "sha384",
    "sha512WithRSAEncryption": "sha512",
}


def signed_with(
    algorithm: str, signed: bytes, signature: bytes, modulus: int, exponent: int
) -> bool | None:
    """Return whether `signature` over `signed` verifies (RFC 8017 §8.2.2); None if not decidable.

    `algorithm` is an openssl name such as "sha512WithRSAEncryption"; one that is not RSA with
    PKCS #1 v1.5 padding, or a key beyond the limits above, is not decided.
    """
    digest_name = _DIGESTS.get(algorithm)
    if digest_name is None or not 1 < exponent.bit_length() <= EXPONENT_BITS_LIMIT:
        return None
    if not 0 < modulus.bit_length() <= MODULUS_BITS_LIMIT or modulus % 2 == 0:
        return None
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= modulus:
        return False
    message = pow(number, exponent, modulus).to_bytes(size, "big")
    digest = hashlib.new(digest_name, signed, usedforsecurity=False).digest()
    return any(message == _encoded(digest_name, digest, size, null) for null in (True, False))


def _encoded(digest_name: str, digest: bytes, size: int, null: bool) -> bytes | None:
    """EMSA-PKCS1-v1_5 (RFC 8017 §9.2), or None if the key is too short for the digest."""
    identifier = bytes.fromhex(_OID_TAIL[digest_name])
    algorithm = bytes((0x06, len(identifier))) + identifier + (b"\x05\x00" if null else b"")
    info = bytes((0x30, len(algorithm))) + algorithm + bytes((0x04, len(digest))) + digest
    info = bytes((0x30, len(info))) + info
    padding = size - len(info) - 3
    if padding < 8:
        return None
    return b"\x00\x01" + b"\xff" * padding + b"\x00" + info
