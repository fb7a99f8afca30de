"""The book of names: which server was asked for by which name, by whom, since when.

Pure and bounded: no socket, no clock, no ledger; whoever was asked for longest ago leaves first.
A name says what a device asked for, not who answers at the address: a program can ask a name server
of its own and be told anything. So a name may add to what is suspected, and never takes any of it
away.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ratwall.names.facts import Answer

NAMES_LIMIT = 16_384  # some 8 MB; an office of fifty asks for a few thousand a day
ADDRESSES_LIMIT = 16_384
NAMES_OF_ADDRESS = 16  # of one server, the newest: shared hosts have thousands
DEVICES_OF_NAME = 64  # who asked; beyond, a name is everybody's
RARE_DEVICES = 1  # as many devices at most may ask for a name that is called rare
RARE_AGE_US = 7 * 86_400_000_000  # a week: a working week shows what an office uses


@dataclass(slots=True)
class KnownName:
    """A name that was asked for; times are UTC microseconds."""

    name: str
    first_seen: int
    last_seen: int
    devices: dict[str, int] = field(default_factory=dict)  # who asked → when it last did
    addresses: dict[str, int] = field(default_factory=dict)  # what was answered → when last


@dataclass(frozen=True, slots=True)
class NameRarity:
    """How common a name is here."""

    first_seen: int  # UTC microseconds
    age_us: int
    devices: int

    @property
    def rare(self) -> bool:
        """Whether it is new here and hardly anybody asks for it."""
        return self.devices <= RARE_DEVICES and self.age_us < RARE_AGE_US


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer as it was taken in."""

    name: str
    aliases: tuple[str, ...]
    addresses: tuple[str, ...]
    device: str
    at: int
    new: bool  # the name was not in the book


class NameBook:
    """Names by what they are called, and by the addresses they have."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, KnownName] = OrderedDict()
        self._servers: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._names)

    def load(self, names: Iterable[KnownName]) -> None:
        """Take in names known from before, the one asked for longest ago first."""
        for name in names:
            self._keep(name)
            for address in name.addresses:
                self._tie(address, name.name)

    def take(self, answer: Answer, device: str, now: int) -> Asked:
        """Take an answer in that `device` got."""
        known = self._names.get(answer.name)
        new = known is None
        if known is None:
            known = KnownName(answer.name, now, now)
        known.last_seen = max(known.last_seen, now)
        _note(known.devices, device, now, DEVICES_OF_NAME)
        for address in answer.addresses:
            _note(known.addresses, address, now, DEVICES_OF_NAME)
            self._tie(address, answer.name)
        self._keep(known)
        return Asked(answer.name, answer.aliases, answer.addresses, device, now, new)

    def get(self, name: str) -> KnownName | None:
        """Return what is known of a name."""
        return self._names.get(name)

    def of(self, server: str) -> tuple[str, ...]:
        """Return the names that an address was asked for by, the newest first."""
        return tuple(reversed(self._servers.get(server, ())))

    def asked_by(self, device: str, server: str) -> str | None:
        """Return the name that a device means by an address: what it asked for last.

        Else what anybody asked for last: the device may have asked before the box was there.
        """
        return self.looked_up(device, server) or next(iter(self.of(server)), None)

    def looked_up(self, device: str, server: str) -> str | None:
        """Return the name that this very device asked for last and got an address for."""
        own = (name for name in self.of(server) if device in self._devices_of(name))
        return next(own, None)

    def rarity(self, name: str, now: int) -> NameRarity | None:
        """Return how common a name is here, None if nobody asked for it."""
        known = self._names.get(name)
        if known is None:
            return None
        return NameRarity(known.first_seen, max(0, now - known.first_seen), len(known.devices))

    def _devices_of(self, name: str) -> dict[str, int]:
        known = self._names.get(name)
        return {} if known is None else known.devices

    def _keep(self, known: KnownName) -> None:
        self._names[known.name] = known
        self._names.move_to_end(known.name)
        if len(self._names) > NAMES_LIMIT:
            _, gone = self._names.popitem(last=False)
            for address in gone.addresses:
                self._untie(address, gone.name)

    def _tie(self, address: str, name: str) -> None:
        names = self._servers.setdefault(address, OrderedDict())
        names[name] = None
        names.move_to_end(name)
        if len(names) > NAMES_OF_ADDRESS:
            names.popitem(last=False)
        self._servers.move_to_end(address)
        if len(self._servers) > ADDRESSES_LIMIT:
            self._servers.popitem(last=False)

    def _untie(self, address: str, name: str) -> None:
        names = self._servers.get(address)
        if names is not None:
            names.pop(name, None)
            if not names:
                del self._servers[address]


def _note(seen: dict[str, int], key: str, now: int, limit: int) -> None:
    """Note that something was seen now; what was seen longest ago leaves a full list."""
    seen.pop(key, None)
    seen[key] = now
    if len(seen) > limit:
        del seen[next(iter(seen))]
