"""The two ports, the bridge between them, and the kernel settings that the rules need.

The way back of every change is noted before it is made (`ratwall.kernel.undo`). The settings are
per bridge and per network namespace: the machine's other bridges are not touched.
"""

import stat
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

from ratwall.address import LOCAL_NETWORKS
from ratwall.errors import UsageError
from ratwall.kernel.command import ip_json, run
from ratwall.kernel.undo import CREATED_BRIDGE, LAST_RESORT_METRIC, SYSCTL, Undo

Network = IPv4Network | IPv6Network

# Events must flow before the first connection: the kernel's default ("2") starts them only once
# somebody listens, and a flow that began earlier never reports its end.
SETTINGS = {
    "net/netfilter/nf_conntrack_events": "1",
    "net/netfilter/nf_conntrack_acct": "1",
    "net/netfilter/nf_conntrack_timestamp": "1",
}
# Bits 3 and 14: 01-80-c2-00-00-03 and -0e. A bridge keeps 802.1X and LLDP to itself unless told; a
# cable would not. Spanning tree it passes as long as it takes no part in it.
FORWARD_AS_A_CABLE = "16392"
# Without them frames with a VLAN tag or in a PPPoE session go past the inet hooks of every bridge.
TAGGED_SETTINGS = {
    "net/bridge/bridge-nf-filter-vlan-tagged": "1",
    "net/bridge/bridge-nf-filter-pppoe-tagged": "1",
}


def existing_links() -> dict[str, str | None]:
    """Return interface name → the bridge it is a port of, or None."""
    return {link["ifname"]: link.get("master") for link in ip_json("link", "show")}


def check_ports(lan: str, wan: str) -> dict[str, str | None]:
    """Return all links with their bridges; UsageError unless both ports exist and differ."""
    if lan == wan:
        raise UsageError(
            f"--lan and --wan: two different interfaces are needed, found {lan!r} twice"
        )
    links = existing_links()
    for option, name in (("--lan", lan), ("--wan", wan)):
        if name not in links:
            known = ", ".join(sorted(links))
            raise UsageError(f"{option}: no interface {name!r} here; there are: {known}")
    return links


def own_addresses() -> list[str]:
    """Return every address of this host, as text; they are never blocked."""
    return [
        address["local"]
        for link in ip_json("address", "show")
        for address in link.get("addr_info", [])
    ]


def gateways() -> list[str]:
    """Return the next hops of this host's default routes; they are never blocked."""
    routes = ip_json("route", "show", "default") + ip_json("-6", "route", "show", "default")
    return [route["gateway"] for route in routes if "gateway" in route]


def hidden_routers(bridge: str | None) -> list[IPv4Network | IPv6Network]:
    """Return the networks in which a bridge's office has its router, where nobody can tell which
    address that is: a bridge without an address of a family knows no gateway of it.

    They are all that is none of the internet's, and are never blocked.
    """
    if bridge is None:
        return []
    known = {
        ip_address(address["local"]).version
        for link in ip_json("address", "show", "dev", bridge)
        for address in link.get("addr_info", [])
        if address["scope"] == "global"
    }
    return [network for network in LOCAL_NETWORKS if network.version not in known]


def resolvers(path: Path = Path("/etc/resolv.conf")) -> list[str]:
    """Return the name servers that this host asks (resolv.conf(5)); what is no address is none."""
    found = []
    with suppress(OSError):
        for line in path.read_text(errors="replace").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                with suppress(ValueError):
                    found.append(str(ip_address(words[1].partition("%")[0])))
    return found


def find_bridge(lan: str, wan: str) -> str:
    """Return the bridge that both interfaces are ports of, UsageError otherwise."""
    links = check_ports(lan, wan)
    masters = {links[lan], links[wan]}
    bridge = masters.pop()
    if masters or bridge is None:
        raise UsageError(
            f"--mode bridge: {lan} and {wan} are not ports of one bridge "
            f"(found {links[lan] or 'none'} and {links[wan] or 'none'}); "
            "add --create-bridge to make one"
        )
    return bridge


def create_bridge(lan: str, wan: str, undo: Undo) -> str:
    """Make a bridge of both interfaces, up, and return its name.

    UsageError if one is a port of another already.
    """
    name = CREATED_BRIDGE
    links = existing_links()
    for port in (lan, wan):
        if links[port] is not None:
            raise UsageError(f"--create-bridge: {port} is already a port of {links[port]}")
    if name in links:
        raise UsageError(f"--create-bridge: an interface {name!r} exists already")
    undo.add("bridge")
    options = ("stp_state", "0", "forward_delay", "0", "group_fwd_mask", FORWARD_AS_A_CABLE)
    run("ip", "link", "add", name, "type", "bridge", *options)
    for port in (lan, wan):
        run("ip", "link", "set", port, "master", name)
        run("ip", "link", "set", port, "up")
    run("ip", "link", "set", name, "up")
    return name


def hand_bridge_to_rules(bridge: str, undo: Undo) -> None:
    """Send this bridge's IP traffic, and no other bridge's, through the inet hooks."""
    (link,) = ip_json("-d", "link", "show", bridge)
    data = link["linkinfo"]["info_data"]
    for option in ("nf_call_iptables", "nf_call_ip6tables"):
        before = str(data[option])
        if before != "1":
            undo.add("bridge option", bridge, option, before)
            run("ip", "link", "set", bridge, "type", "bridge", option, "1")


def add_last_resort_routes(undo: Undo) -> None:
    """Give `reject` the route it insists on: without an address the bridge has none.

    The route is looked up and then not used: the answer leaves by the port the packet came from.
    """
    for family in ("-4", "-6"):
        route = ("default", "dev", "lo", "metric", LAST_RESORT_METRIC)
        if family == "-6" and not (SYSCTL / "net/ipv6").exists():
            continue
        undo.add("route", family)
        run("ip", family, "route", "replace", *route)


def check_bridge_netfilter() -> None:
    """Raise UsageError where the kernel cannot show a bridge's frames to the rules."""
    if not (SYSCTL / "net/bridge").exists():
        raise UsageError(
            "--mode bridge: this kernel shows bridged frames to no rule; "
            "load what does it with: modprobe br_netfilter"
        )


def apply_settings(undo: Undo, settings: Mapping[str, str] = SETTINGS) -> None:
    """Set kernel settings, by default those that switch conntrack's event reports fully on."""
    for name, value in settings.items():
        path = SYSCTL / name
        before = path.read_text().strip()
        if before != value:
            undo.add("sysctl", name, before)
            path.write_text(value)


def size_conntrack(connections: int, undo: Undo) -> None:
    """Let the kernel track so many connections, if it tracks fewer now and lets us say so.

    In a network namespace of its own it does not: there the machine's limit holds.
    """
    for name in ("nf_conntrack_buckets", "nf_conntrack_max"):
        path = SYSCTL / "net/netfilter" / name
        before = path.read_text().strip()
        if int(before) >= connections:
            continue
        if path.stat().st_mode & stat.S_IWUSR:
            undo.add("sysctl", f"net/netfilter/{name}", before)
            path.write_text(str(connections))
