"""Prime serial numbers: the test must agree with the definition, and stay cheap."""

from math import isqrt

import pytest

from ratwall.wire.x509.primes import PRIME_BITS_LIMIT, is_probable_prime


def is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, isqrt(number) + 1))


def test_agrees_with_trial_division() -> None:
    for number in range(-3, 5000):
        assert is_probable_prime(number) is is_prime(number), number


@pytest.mark.parametrize(
    "serial",
    [
        0xEAE051748BB5594FC1BFB18C75E94F,  # AsyncRAT, 120 bits
        0x9302D4A3A77F73C0278EEC3B631C95,  # Quasar, 120 bits
        0xD0DD872233164464554754D6952C5928708DE5D3,  # DcRat, 160 bits
    ],
)
def test_knows_the_serials_of_published_certificates(serial: int) -> None:
    assert is_probable_prime(serial)
    assert not is_probable_prime(serial - 2)


@pytest.mark.parametrize(
    "number",
    [
        561,  # the smallest Carmichael number: Fermat's test takes it for a prime
        3215031751,  # passes Miller-Rabin for 2, 3, 5 and 7
        3825123056546413051,  # passes for the first nine primes
        318665857834031151167461,  # passes for the first twelve
    ],
)
def test_sees_through_numbers_made_to_deceive(number: int) -> None:
    assert not is_probable_prime(number)


# The largest primes below a power of two: 2**b - c (https://t5k.org/lists/2small/).
@pytest.mark.parametrize(("bits", "distance"), [(255, 19), (256, 189), (257, 93)])
def test_longer_numbers_than_the_limit_are_not_tested(bits: int, distance: int) -> None:
    number = 2**bits - distance
    assert number.bit_length() == bits
    assert is_probable_prime(number) is (bits <= PRIME_BITS_LIMIT)
