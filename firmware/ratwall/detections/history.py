"""What a device had to do with one server, as a model sees it: a frozen view, filled elsewhere.

Pure. Times are UTC microseconds, counts are of the last day unless said otherwise.
"""

from dataclasses import dataclass
from typing import Final

SECOND: Final = 1_000_000  # microseconds
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
HOURS: Final = 24  # of counts kept: what a device does by day and does not by night
# A program that a business uses is on more than two of its devices, or has been for a week.
RARE_DEVICES: Final = 2
RARE_AGE_US: Final = 7 * DAY
# As long as the box itself is newer than this, every server is new to it: that says little.
LEARNING_US: Final = 3 * DAY
# Where TLS is spoken by convention: IANA's names, and what browsers, phones and mail use.
COMMON_PORTS: Final = frozenset(
    {443, 465, 563, 587, 636, 853, 989, 990, 992, 993, 994, 995, 2083, 2087, 2096, 3269, 4433}
    | {5061, 5223, 5228, 5349, 6514, 6697, 8443, 8883, 9443}
)


@dataclass(frozen=True, slots=True)
class Rarity:
    """How well a server is known at this site."""

    devices: int  # that ever had to do with it
    age: int  # microseconds since the first of them

    @property
    def rare(self) -> bool:
        """Few devices know it, and none for long."""
        return self.devices <= RARE_DEVICES and self.age < RARE_AGE_US


@dataclass(frozen=True, slots=True)
class Beat:
    """A rhythm inside a connection, as `ratwall.rhythm` told it."""

    beats: int
    period: int  # microseconds
    shape: bool  # each beat has the families' record shape


@dataclass(frozen=True, slots=True)
class History:
    """One device and one server."""

    device: str
    server: str
    at: int
    rarity: Rarity
    site_age: int = DAY * 30  # microseconds since this box saw its first connection
    named: bool = False  # one of its hellos named a server, or a DNS answer did
    ports: tuple[int, ...] = ()  # on which TLS was spoken
    handshakes: int = 0  # TLS connections
    hours: tuple[int, ...] = (0,) * HOURS  # of which began in each hour, oldest first
    usual_hour: int = 0  # most TLS connections with another server within an hour, of a week
    self_signed: bool = False  # the newest certificate was issued or signed by itself
    odd_certificate: str | None = None  # what was remarkable of one, in a sentence
    odd_fingerprint: str | None = None  # what was remarkable of a hello, in a sentence
    starts: tuple[int, ...] = ()  # when connections began, answered or not, oldest first
    failures: int = 0  # of the last hour: refused, or never answered
    attempts: int = 0  # of the last hour, failed or not
    failed_ports: tuple[int, ...] = ()
    beat: Beat | None = None
    watched: bool = False  # something was done about the device lately: half the proof is enough

    @property
    def learning(self) -> bool:
        """The box is too new to know who is a stranger."""
        return self.site_age < LEARNING_US

    @property
    def stranger(self) -> bool:
        """Whether the server is rare, and that means something.

        To a new box all servers are rare, and the first days bring every appliance of the office;
        it takes one more thing then that appliances do not have.
        """
        special = (
            self.odd_fingerprint is not None
            or len(self.odd_ports) > 1
            or (self.beat is not None and self.beat.shape)
        )
        return self.rarity.rare and (special or not self.learning)

    @property
    def odd_ports(self) -> tuple[int, ...]:
        """The ports at which TLS is not spoken by convention."""
        return tuple(port for port in self.ports if port not in COMMON_PORTS)

    def least(self, count: int) -> int:
        """Return how many of something are asked for: fewer of a device that is watched."""
        return (count + 1) // 2 if self.watched else count
