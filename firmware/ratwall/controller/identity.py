"""Who is meant by a device: the addresses and the MAC that it is known by.

Reads the ledger and the kernel's neighbours, writes nothing. A MAC that speaks for many addresses
is a router's, with other devices behind it: whoever is meant then is known by address alone. An
address that another MAC used lately as well is not counted as a device's: it has changed hands, or
somebody sends with an address that is not theirs, and its owner shall not be taken for them.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ratwall.ledger.models import Device, Flow
from ratwall.ledger.store import Ledger, LedgerError

LATELY_US = 24 * 3_600_000_000  # addresses of the last day: leases and privacy addresses change
ADDRESSES_LIMIT = 64  # of one device; IPv6 gives it a new one a day or two
# IPv4 addresses of one MAC within a day: one, two with a change of lease. More is a router.
SHARED_FROM = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """A device: the address it was named by, its MAC if that is its own, all it had lately."""

    address: str
    mac: str | None
    addresses: tuple[str, ...]


def identify(
    ledger: Ledger, mac_of: Callable[[str], str | None], named: str, now: int
) -> Identity | None:
    """Return who is named by an address, a MAC or a name; None if nobody is.

    An address that was never seen is a device all the same.
    """
    address = _address(named)
    row = _row(ledger, named if address is None else address)
    if address is None:
        if row is None:
            return None
        address = str(row["address"])
    mac = mac_of(address) if row is None else row["mac"] or mac_of(address)
    return known_by(ledger, address, mac, now)


def known_by(ledger: Ledger, address: str, mac: str | None, now: int) -> Identity:
    """Return a device with the addresses that its MAC had lately."""
    addresses = {address: None}
    if mac is not None:
        addresses |= dict.fromkeys(_lately(ledger, mac, now))
        old = [one for one in addresses if ipaddress.ip_address(one).version == 4]
        if len(old) >= SHARED_FROM:
            return Identity(address, None, (address,))
    return Identity(address, mac, tuple(addresses)[:ADDRESSES_LIMIT])


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text)) if "%" not in text else None
    except ValueError:
        return None


def _row(ledger: Ledger, named: str) -> dict[str, Any] | None:
    """Return the device last seen by a name, an address or a MAC."""
    same = (Device.address == named) | (Device.mac == named.lower()) | (Device.name == named)
    try:
        return ledger.row(Device.select().where(same).order_by(Device.last_seen.desc()).limit(1))
    except LedgerError:
        return None  # the writer says what is wrong with the ledger


def _lately(ledger: Ledger, mac: str, now: int) -> list[str]:
    lately = Flow.select(Flow.client).join(Device, on=(Flow.device == Device.id))
    lately = lately.where(Flow.start > now - LATELY_US)
    others = lately.where(Device.mac.is_null(False) & (Device.mac != mac))
    query = (
        lately.where((Device.mac == mac) & Flow.client.not_in(others))
        .distinct()
        .limit(ADDRESSES_LIMIT)
    )
    try:
        return [str(row["client"]) for row in ledger.rows(query)]
    except LedgerError:
        return []
