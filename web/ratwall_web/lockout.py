"""How often a password or a set-up code may be guessed: by one address, for one user, by all.

Bounded: the table holds a fixed number of addresses and forgets the least recently seen first;
the count over all addresses is kept apart, so that changing the address gains nothing for long.
An IPv6 network of 64 bits counts as one address: a device has as many as it likes.
A browser that signed in before (`known`) has a count of its own and meets no other, so that nobody
can lock the owner out by guessing wrong from elsewhere.
Knows no clock: seconds that only ever grow are passed in.
"""

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ratwall_web.config import Config

# The part of an IPv6 address that names a network, not a device in it (RFC 4291 §2.5.4).
IPV6_NETWORK_BITS = 64
NAME_MOST = 40  # characters of a name that are told apart


@dataclass(slots=True)
class Tally:
    """Wrong guesses since `since`, and until when more are refused."""

    failures: int
    since: float
    locked_until: float


class Lockout:
    """The wrong guesses of the recent past."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._guessers: OrderedDict[str, Tally] = OrderedDict()
        self._everybody = Tally(0, 0.0, 0.0)

    def wait(self, address: str, browser: str | None = None, user: str | None = None) -> float:
        """Return the seconds until `address`, or a known browser, may guess again; 0 for now.

        `user` is the name that was typed, whether anybody has it or not.
        """
        now = self._clock()
        keys = [_guesser(address, browser)]
        if browser is None and user is not None:
            keys.append(_account(user))
        with self._lock:
            until = self._everybody.locked_until if browser is None else 0.0
            for key in keys:
                tally = self._guessers.get(key)
                until = max(until, tally.locked_until if tally else 0.0)
        return max(0.0, until - now)

    def fail(self, address: str, browser: str | None = None, user: str | None = None) -> None:
        """Count one wrong guess."""
        now = self._clock()
        limits = [(_guesser(address, browser), self._config.tries_per_address)]
        if browser is None and user is not None:
            limits.append((_account(user), self._config.tries_per_user))
        with self._lock:
            for key, limit in limits:
                tally = self._guessers.setdefault(key, Tally(0, now, 0.0))
                self._guessers.move_to_end(key)
                self._count(tally, limit, now)
            if browser is None:
                self._count(self._everybody, self._config.tries_in_all, now)
            while len(self._guessers) > self._config.lockout_addresses:
                self._guessers.popitem(last=False)

    def succeed(self, address: str, browser: str | None = None) -> None:
        """Forget the wrong guesses of an address, or a known browser, that got it right."""
        with self._lock:
            self._guessers.pop(_guesser(address, browser), None)

    def left(self, address: str, browser: str | None = None) -> int:
        """Return how many wrong guesses are left before one must wait."""
        with self._lock:
            tally = self._guessers.get(_guesser(address, browser))
        return self._config.tries_per_address - (tally.failures if tally else 0)

    def _count(self, tally: Tally, limit: int, now: float) -> None:
        if now - tally.since >= self._config.lockout_s:
            tally.failures, tally.since = 0, now
        tally.failures += 1
        if tally.failures >= limit:
            tally.locked_until = now + self._config.lockout_s
            tally.failures, tally.since = 0, now


def _guesser(address: str, browser: str | None) -> str:
    return network_of(address) if browser is None else f"browser {browser}"


def _account(user: str) -> str:
    # A name can be no longer than this, and one that nobody has must not fill the memory.
    return f"user {user.strip().casefold()[:NAME_MOST]}"


def network_of(address: str) -> str:
    """Return what counts as one guesser: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
