"""Plain lists: one indicator a line, told apart by its shape.

Taken are addresses, ADDRESS:PORT, host names, SHA-1 and SHA-256 of certificates, JA3 (32 digits)
and JA4. "#" and ";" begin a comment, which may stand behind an indicator. A network counts as what
it is, a number of addresses that nobody has looked at: a narrow one is left out, a wide one is a
sign of a poisoned list.
"""

from collections.abc import Callable
from ipaddress import ip_network

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import Indicator, Kind, address, digest, endpoint, ja4, name
from ratwall.feeds.reading import Collector, Reading, lines_of

# Wider than one site's own network; no server of a RAT is 256 machines.
WIDE = {4: 24, 6: 64}
DIGESTS = {32: Kind.JA3, 40: Kind.CERTIFICATE_SHA1, 64: Kind.CERTIFICATE_SHA256}
COMMENTS = ("#", ";", "//")
WEB = ("http://", "https://", "hxxp://", "hxxps://")


def read_plain(data: bytes) -> Reading:
    """Read a plain list."""
    collector = Collector()
    for number, line in lines_of(data):
        word = _word(line)
        if word is None:
            continue
        collector.rows += 1
        if word.lower().startswith(WEB):
            collector.skip("a web address: what is asked for is encrypted")
            continue
        if "/" in word and _is_network(word, number, collector):
            continue
        for read in _shapes(word):
            try:
                collector.add(read(word))
            except ValueError:
                continue
            break
        else:
            collector.unreadable(f"line {number}", line)
    return collector.reading()


def _word(line: str) -> str | None:
    """Return what stands before a comment, None if nothing does."""
    if line.startswith(COMMENTS):
        return None
    for mark in ("#", ";"):
        line = line.partition(mark)[0]
    return line.strip() or None


def _is_network(word: str, number: int, collector: Collector) -> bool:
    """Say whether it is a network, and count it; FeedError if it is a wide one."""
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        return False
    if network.prefixlen == network.max_prefixlen:
        collector.add(Indicator(Kind.ADDRESS, address(str(network.network_address))))
    elif network.prefixlen < WIDE[network.version]:
        raise FeedError(f"line {number}: {network} is a whole network; a poisoned list?")
    else:
        collector.skip("a network: list its addresses")
    return True


def _address(word: str) -> Indicator:
    return Indicator(Kind.ADDRESS, address(word))


def _endpoint(word: str) -> Indicator:
    return Indicator(Kind.ENDPOINT, *endpoint(word))


def _digest(word: str) -> Indicator:
    digits = len(word.replace(":", ""))
    if digits not in DIGESTS:
        raise ValueError(word)
    return Indicator(DIGESTS[digits], digest(word, digits))


def _ja4(word: str) -> Indicator:
    return Indicator(Kind.JA4, ja4(word))


def _name(word: str) -> Indicator:
    return Indicator(Kind.NAME, name(word))


def _shapes(word: str) -> tuple[Callable[[str], Indicator], ...]:
    """Return what it may be, the likeliest first: an address, with a port or without, or a text."""
    if word[-1:].isdigit() and "." in word and ":" in word:
        return _endpoint, _address, _name
    return _address, _endpoint, _digest, _ja4, _name
