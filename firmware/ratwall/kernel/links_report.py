"""What the counters and the ports say of the links: what passes uninspected, and what is unusual.

Pure: numbers in, facts and sentences out. It runs no tool and decides nothing; `ratwall status` and
the page list `passed`, `ratwall doctor` prints `findings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Kinds of traffic that pass uninspected by design → what one counted thing is called.
PASSED = {
    "quic": "connection",  # UDP port 443
    "inbound": "connection",  # opened from outside: port forwards
    "local": "packet",  # office to office, hairpin
    "one_way": "packet",  # only one direction crosses the box
    "stacked": "packet",  # two VLAN tags, or PPPoE inside a VLAN
}
# Segments before this many are those of connections older than the box: each adds one or two.
ONE_WAY_PACKETS = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """One unusual thing about the links, and what to do about it where something should be."""

    id: str
    problem: bool  # it wants a hand
    text: str


def passed(counters: Mapping[str, int]) -> dict[str, int]:
    """Return kind → how many passed since the box went inline, from `Sets.counters()`."""
    return {kind: counters.get(f"passed_{kind}_packets", 0) for kind in PASSED}


def findings(counters: Mapping[str, int]) -> list[Finding]:
    """Say what is unusual about the links, from `Sets.counters()`; nothing while nothing passed."""
    counted = passed(counters)
    found = []
    if counted["stacked"]:
        found.append(
            Finding(
                "links.stacked",
                True,
                f"{counted['stacked']} frames with two tags (802.1ad, Q-in-Q, or PPPoE in a VLAN) "
                "crossed the bridge: the kernel shows them to no rule, they are not inspected; "
                "put the box where the office's frames carry one tag at most",
            )
        )
    if counters.get("tagged_packets", 0):
        found.append(
            Finding(
                "links.tagged",
                False,
                "frames with a VLAN tag or in a PPPoE session cross the bridge: they are "
                "inspected; of a cut connection the device is told, the server is not",
            )
        )
    if counted["one_way"] >= ONE_WAY_PACKETS:
        found.append(
            Finding(
                "links.one_way",
                True,
                f"{counted['one_way']} segments belong to connections of which only one direction "
                "crosses the box: they cannot be judged; look for a second way to the internet "
                "beside the box",
            )
        )
    return found
