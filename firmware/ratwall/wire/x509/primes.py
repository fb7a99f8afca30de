"""A probable-prime test for certificate serial numbers.

It never proves primality and never guards a secret: it tells serials drawn by BouncyCastle's
`BigInteger.ProbablePrime` from random ones, of which about one in a hundred is prime by chance.

Design note: the bases are fixed, so the same certificate gets the same answer on every box. A
composite built to pass would only make its owner look worse, so nobody has a reason to build one.
"""

# Also the Miller-Rabin bases: deterministic below 3.3e24 (Sorenson and Webster, 2015); for longer
# numbers each base lets at most one composite in four pass, and far fewer of the random ones.
_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)

# RFC 5280 §4.1.2.2 allows serials of 20 octets. A longer number is not tested: a serial of
# thousands of bits would cost the inspector milliseconds, and no family draws one.
PRIME_BITS_LIMIT = 256


def is_probable_prime(number: int) -> bool:
    """Return whether Miller-Rabin calls `number` prime; False above PRIME_BITS_LIMIT bits."""
    if number < 2 or number.bit_length() > PRIME_BITS_LIMIT:
        return False
    for base in _BASES:
        if number % base == 0:
            return number == base
    odd = number - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    return all(_passes(number, base, odd, twos) for base in _BASES)


def _passes(number: int, base: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
