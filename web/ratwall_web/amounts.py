"""How amounts become words: bytes, and bits a second, with as many digits as a person reads.

Pure. Decimal units, as on the label of a disk and on the bill for a line.
"""

from ratwall_web.language import N_, _, decimal, grouped

STEP = 1000
SMALL = 10  # below it one digit behind the point says something
BYTES = (N_("%(amount)s bytes"), N_("%(amount)s kB"), N_("%(amount)s MB"), N_("%(amount)s GB"))
RATES = (
    N_("%(amount)s bit/s"),
    N_("%(amount)s kbit/s"),
    N_("%(amount)s Mbit/s"),
    N_("%(amount)s Gbit/s"),
)


def of_bytes(number: int) -> str:
    """Return bytes as `512 bytes`, `9.8 kB`, `64 GB`."""
    return _in_words(number, BYTES)


def of_rate(bits: int) -> str:
    """Return bits a second as `0 bit/s`, `1.2 Mbit/s`, `940 Mbit/s`."""
    return _in_words(bits, RATES)


def _in_words(number: int, units: tuple[str, ...]) -> str:
    amount, power = float(number), 0
    # What would be written as 1000 is one of the next unit.
    while round(amount) >= STEP and power < len(units) - 1:
        amount, power = amount / STEP, power + 1
    text = decimal(amount) if power and round(amount, 1) < SMALL else grouped(round(amount))
    return _(units[power]) % {"amount": text}
