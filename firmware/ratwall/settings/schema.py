"""Every setting of the box: its type, what it may be, its default and the reason for it.

Never reads a file; `ratwall.settings.load` does. A setting is one field of a frozen dataclass with
its rule in the field's metadata, so that the loader, the error messages and the documentation all
speak from this one place.
"""

import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from ratwall.address import parse_place
from ratwall.kernel.crowding import CONNECTIONS_HIGH, CONNECTIONS_LOW, default_connections
from ratwall.settings.export import Export
from ratwall.settings.feed_sources import FeedSource, FeedSources
from ratwall.settings.rules import (
    Addresses,
    Boolean,
    Choice,
    Integer,
    Keys,
    MarkMask,
    Rule,
    RuleNames,
    Servers,
    Text,
    is_interface_name,
    is_listen,
)

BLOCK_SECONDS_LOW = 60  # a shorter block is over before a RAT has tried its list of ports once
BLOCK_SECONDS_HIGH = 30 * 86_400  # a month; what shall last longer is a decision for a person
PAUSE_SECONDS_LOW = 60
PAUSE_SECONDS_HIGH = 36 * 3600  # "until tomorrow" is at most 30 h away; nobody forgets it longer
RESPONSE_SECONDS_LOW = 60  # shorter than that nobody notices
QUEUE_HIGH = 65_535  # NFQUEUE numbers have 16 bits
QUEUE_LENGTH_LOW = 1024  # one 64 KB GSO packet becomes up to 45 entries: shorter queues leak
QUEUE_LENGTH_HIGH = 65_536  # beyond it the packets waiting outweigh the memory of a small box
WORKERS_HIGH = 4  # more would wait for each other: connections are spread by address pair only
OBSERVED_LOW = 16  # fewer would be a lottery
OBSERVED_HIGH = 65_536  # 60 MB of the controller's memory
RETENTION_DAYS_HIGH = 3650  # ten years: longer than any duty to keep such records
LEDGER_MEGABYTES_LOW = 16  # below it retention would eat flows as fast as they come
LEDGER_MEGABYTES_HIGH = 65_536  # 64 GB: the largest storage of a supported box
RESPONSE_PORTS_HIGH = 100  # more than any published list of ports has
RULES_LIMIT = 200  # as many as there are rules, several times over
# What only shows over time is told until a person has seen what it finds in this office.
MONITORED = ("rhythm", "loop", "model")
CAPTURE_MEGABYTES_LOW = 4  # a quarter of it is one file: a page and a handshake
CAPTURE_MEGABYTES_HIGH = 4096
CAPTURE_DAYS_HIGH = 90
RELAYS_LIMIT = 64  # a business has one remote-support provider, a provider a few relays
FEEDS_LIMIT = 32  # nobody knows what so many say; the index numbers them with room to spare
KEYS_LIMIT = 8  # of signature packs: the makers known to an office, and one to change to
NEVER_BLOCK_LIMIT = 256  # a list kept by hand; more is a sign of a wrong file

Mode = Literal["off", "monitor", "enforce"]
MODES = ("off", "monitor", "enforce")

INTERFACE = Text("the name of a network interface, at most 15 bytes", is_interface_name)
SCORE = Integer(1, 100)


def accepts(rule: Rule) -> MappingProxyType[str, Rule]:
    """Return the field metadata that carries `rule`."""
    return MappingProxyType({"rule": rule})


@dataclass(frozen=True, slots=True)
class Network:
    """Where the box sits; the command line may override each."""

    lan: str | None = field(default=None, metadata=accepts(INTERFACE))
    wan: str | None = field(default=None, metadata=accepts(INTERFACE))
    # Transparent: a box plugged in needs no address plan and changes nothing for the office.
    mode: str = field(default="bridge", metadata=accepts(Choice(("bridge", "router"))))


@dataclass(frozen=True, slots=True)
class Detection:
    """From which score a flow is watched, reported or cut, and whether cutting is on."""

    watch: int = field(default=30, metadata=accepts(SCORE))  # one oddity, or two everyday ones
    # A suspicious certificate and a client that names no server: no weak fact alone gets here.
    alert: int = field(default=60, metadata=accepts(SCORE))
    # What a decisive fact gives; weak facts can reach `alert` together, and never this (see judge).
    block: int = field(default=80, metadata=accepts(SCORE))
    # A new box protects; false is monitor mode, which says "would have blocked".
    enforce: bool = field(default=True, metadata=accepts(Boolean()))
    # QUIC hides its handshake. Refused, browsers take TCP, which is inspected; off, because the
    # programs that can do nothing else would stand still.
    refuse_udp_443: bool = field(default=False, metadata=accepts(Boolean()))
    # The box asks a server itself for a certificate that it could not see. Off, because it tells
    # whoever runs the server that somebody looks, from the office's address.
    certificate_lookup: bool = field(default=False, metadata=accepts(Boolean()))


@dataclass(frozen=True, slots=True)
class Block:
    """How long a blocked server stays blocked."""

    # A day: a RAT that found no server overnight is still stopped when the office opens, and an
    # address that is handed to somebody else is free again soon.
    seconds: int = field(
        default=86_400, metadata=accepts(Integer(BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH))
    )


def default_workers() -> int:
    """Return one inspector a core that this process may use, within the limit."""
    return min(len(os.sched_getaffinity(0)), WORKERS_HIGH)


def default_tracked() -> int:
    """Return how many connections this machine shall track."""
    return default_connections(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


@dataclass(frozen=True, slots=True)
class Kernel:
    """What Ratwall takes of the machine's packet marks and queues."""

    mark_mask: int = field(default=0xFF00_0000, metadata=accepts(MarkMask()))  # others start low
    queue: int = field(default=0, metadata=accepts(Integer(0, QUEUE_HIGH)))
    queue_length: int = field(
        default=4096,  # four times the least, about 6 MB of full-sized packets
        metadata=accepts(Integer(QUEUE_LENGTH_LOW, QUEUE_LENGTH_HIGH)),
    )
    # Inspectors, each with a queue of its own, numbered from `queue` on.
    workers: int = field(
        default_factory=default_workers, metadata=accepts(Integer(1, WORKERS_HIGH))
    )
    log_group: int = field(
        default=7474,  # anywhere but low, where ulogd and others start counting
        # NFLOG groups have 16 bits; the next three are used too: DNS answers, captures, feeds.
        metadata=accepts(Integer(0, 65_532)),
    )
    # Connections that conntrack has room for, by default a sixteenth of the machine's memory.
    connections: int = field(
        default_factory=default_tracked,
        metadata=accepts(Integer(CONNECTIONS_LOW, CONNECTIONS_HIGH)),
    )
    # Flows whose copies are read at one time: fifty devices with fifty connections each, and spare.
    observed_flows: int = field(
        default=4096, metadata=accepts(Integer(OBSERVED_LOW, OBSERVED_HIGH))
    )


@dataclass(frozen=True, slots=True)
class Web:
    """Where the admin page answers."""

    listen: str = field(
        default="127.0.0.1:8443",  # nothing is offered to a network that nobody named
        metadata=accepts(
            Text('an address and a port, such as "192.168.1.2:8443" or "[::1]:8443"', is_listen)
        ),
    )

    @property
    def address(self) -> tuple[str, int]:
        """Return (address, port) of `listen`."""
        return parse_place(self.listen)


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """How much history is kept: the first limit reached counts."""

    retention_days: int = field(
        default=90,  # a quarter: long enough to look back after an incident found late
        metadata=accepts(Integer(1, RETENTION_DAYS_HIGH)),
    )
    max_megabytes: int = field(
        default=512,  # about two million flows; fits the smallest data partition many times over
        metadata=accepts(Integer(LEDGER_MEGABYTES_LOW, LEDGER_MEGABYTES_HIGH)),
    )


@dataclass(frozen=True, slots=True)
class NeverBlock:
    """Servers that no rule may block, whatever they show: gateway, resolvers, update server."""

    addresses: tuple[str, ...] = field(default=(), metadata=accepts(Addresses(NEVER_BLOCK_LIMIT)))


@dataclass(frozen=True, slots=True)
class Rules:
    """What each rule of detection may do, where that is not its own default.

    The closest name counts: "rhythm.stock" before "rhythm.*" before "*"; of equals the mildest.
    """

    off: tuple[str, ...] = field(default=(), metadata=accepts(RuleNames(RULES_LIMIT)))
    monitor: tuple[str, ...] = field(default=(), metadata=accepts(RuleNames(RULES_LIMIT)))
    enforce: tuple[str, ...] = field(default=(), metadata=accepts(RuleNames(RULES_LIMIT)))

    def mode_of(self, rule: str) -> Mode:
        """Return what a rule may do: nothing, tell, or have connections cut."""
        pack = rule.partition(".")[0]
        for name in (rule, f"{pack}.*", "*"):
            if name in self.off:
                return "off"
            if name in self.monitor:
                return "monitor"
            if name in self.enforce:
                return "enforce"
        return "monitor" if pack in MONITORED else "enforce"

    def with_mode(self, rule: str, mode: str) -> "Rules":
        """Return the same with another mode for a rule, or for all of a pack."""
        changed = {
            each: tuple(name for name in getattr(self, each) if name != rule) for each in MODES
        }
        changed[mode] += (rule,)
        return Rules(**changed)


@dataclass(frozen=True, slots=True)
class Response:
    """What is done about a device beside cutting its connections."""

    # A quarantined till is a till that takes no money: a person decides, unless told otherwise.
    quarantine: str = field(default="ask", metadata=accepts(Choice(("ask", "automatic"))))
    quarantine_seconds: int = field(  # a day: until somebody has looked at the machine
        default=86_400, metadata=accepts(Integer(RESPONSE_SECONDS_LOW, BLOCK_SECONDS_HIGH))
    )
    # A client that was cut on three ports of one server has a list of them: the server is meant.
    ports: int = field(default=3, metadata=accepts(Integer(0, RESPONSE_PORTS_HIGH)))
    # Whoever was cut has something on it that is looked for further.
    watch: bool = field(default=True, metadata=accepts(Boolean()))
    # A day of looking closely at a device that was cut: what else is on it shows itself meanwhile.
    watch_seconds: int = field(
        default=86_400, metadata=accepts(Integer(RESPONSE_SECONDS_LOW, BLOCK_SECONDS_HIGH))
    )


@dataclass(frozen=True, slots=True)
class Capture:
    """Whole packets of a device, kept for evidence; nothing is captured unless asked for."""

    # Rules that begin a capture of the device they speak of.
    rules: tuple[str, ...] = field(default=(), metadata=accepts(RuleNames(RULES_LIMIT)))
    seconds: int = field(
        default=600,  # ten minutes: some forty heartbeats
        metadata=accepts(Integer(60, 86_400)),
    )
    max_megabytes: int = field(
        default=64,  # of all captures: an evening of a suspicious device, and little of a disk
        metadata=accepts(Integer(CAPTURE_MEGABYTES_LOW, CAPTURE_MEGABYTES_HIGH)),
    )
    keep_days: int = field(
        default=7,  # they hold what people said: no longer than it takes to look into an incident
        metadata=accepts(Integer(1, CAPTURE_DAYS_HIGH)),
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """What is fine in this office though it is worth telling of elsewhere."""

    screenconnect_relays: tuple[str, ...] = field(
        default=(), metadata=accepts(Servers(RELAYS_LIMIT))
    )


@dataclass(frozen=True, slots=True)
class Feeds:
    """Where indicators come from: lists that others publish."""

    # The few that come with Ratwall; old ones, which are told of and cut nothing any more.
    shipped: bool = field(default=True, metadata=accepts(Boolean()))
    # None by default: whoever fetches a list tells its publisher that this office exists.
    sources: tuple[FeedSource, ...] = field(default=(), metadata=accepts(FeedSources(FEEDS_LIMIT)))


@dataclass(frozen=True, slots=True)
class Signatures:
    """Whose signature packs are taken, beside those that come with Ratwall."""

    # Who tries packs out trusts the development key too, or one of their own.
    trust: tuple[str, ...] = field(
        default=("release",), metadata=accepts(Keys(("release", "development"), KEYS_LIMIT))
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, one attribute a section of the file."""

    network: Network = field(default_factory=Network)
    detection: Detection = field(default_factory=Detection)
    block: Block = field(default_factory=Block)
    kernel: Kernel = field(default_factory=Kernel)
    web: Web = field(default_factory=Web)
    ledger: LedgerLimits = field(default_factory=LedgerLimits)
    never_block: NeverBlock = field(default_factory=NeverBlock)
    rules: Rules = field(default_factory=Rules)
    response: Response = field(default_factory=Response)
    capture: Capture = field(default_factory=Capture)
    policy: Policy = field(default_factory=Policy)
    feeds: Feeds = field(default_factory=Feeds)
    signatures: Signatures = field(default_factory=Signatures)
    export: Export = field(default_factory=Export)
