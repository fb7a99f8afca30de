"""How quick the admin page is with a large ledger: every page by its own process, over HTTPS.

    python tests/bench/big_ledger.py BIG.sqlite3
    python tests/bench/pages.py BIG.sqlite3                 every page, a line each
    python tests/bench/pages.py BIG.sqlite3 --only servers  those with the word in their name

One browser asks over a connection that is open, each page ROUNDS times, with numbers that differ
from one time to the next. Measured is from the question's first byte to the answer's last: what
the server takes, and the loopback. Beside it stands for how long a processor worked, which holds on
a machine that does other things as well. Nobody plays the controller. The ledger is put in place by
a link and only read.
"""

import argparse
import http.client
import random
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests")]

from web.conftest import Site, Visitor, serve  # noqa: E402

ROUNDS = 20
AIM_MS, AIM_DASHBOARD_MS, AIM_MB = 150, 100, 80
SEED = 6606
FLOWS, INCIDENTS, DEVICES, SERVERS, CERTIFICATES = 10_000_000, 50_000, 200, 20_000, 5_000


def pages(dice: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Yield each page's name with the addresses under which it is asked for, in turn."""

    def some(address: str, most: int, least: int = 1) -> list[str]:
        return [address.format(dice.randrange(least, most)) for _ in range(ROUNDS)]

    yield "dashboard", ["/"]
    yield "dashboard, its poll", ["/live"]
    yield "incidents", ["/incidents/"]
    yield "incidents, far back", some("/incidents/?before={}", INCIDENTS, 100)
    yield "incidents, one state", some("/incidents/?state=alert&before={}", INCIDENTS, 100)
    yield "incident", some("/incidents/{}", INCIDENTS)
    yield "incident, its poll", some("/incidents/{}/live", INCIDENTS)
    yield "devices", ["/devices/"]
    yield "device", some("/devices/{}", DEVICES)
    yield "connections", ["/connections/"]
    yield "connections, far back", some("/connections/?before={}", FLOWS, 1000)
    yield "connections, a word", some("/connections/?q=host{}.example", SERVERS)
    yield "connections, two words", some("/connections/?q=PC-01+host{}", SERVERS)
    yield "connections, no match", some("/connections/?q=nowhere{}", SERVERS)
    yield "connections, verdict", ["/connections/?verdict=block", "/connections/?verdict=clean"]
    yield "connections, score", some("/connections/?score={}", 101)
    yield "connections, port", ["/connections/?port=8443", "/connections/?port=9"]
    yield "connections, name", some("/connections/?name=host{}.example", SERVERS)
    yield "connections, TLS", ["/connections/?tls=TLS+1.2", "/connections/?tls=TLS+1.0"]
    yield "connections, JA4", some("/connections/?fingerprint=t13d_{}", 99)
    yield "connections, server", some("/connections/?server=203.0.113.{}", 256)
    yield "connections, rare server", some("/connections/?server=2001:db8::{:x}", SERVERS, 256)
    yield "connections, device", some("/connections/?device={}", DEVICES)
    yield "connections, device and port", some("/connections/?device={}&port=9", DEVICES)
    yield "connections, server and port", some("/connections/?server=203.0.113.{}&port=9", 256)
    yield "connections, certificate", some("/connections/?certificate={}", CERTIFICATES)
    yield "connections, until", some("/connections/?until=2026-{:02}-01T10:00", 13, 9)
    yield "connections, until and port", some("/connections/?until=2026-{:02}-01T10:00&port=9", 13)
    yield "connections, block form", some("/connections/{}/block", FLOWS)
    yield "servers", ["/servers/"]
    yield "servers, a name", some("/servers/?q=host{}.example", SERVERS)
    yield "servers, no match", some("/servers/?q=nowhere{}", SERVERS)
    yield "server", some("/servers/203.0.113.{}", 256)
    yield "certificates", ["/servers/certificates/"]
    yield "certificates, no match", some("/servers/certificates/?q=nowhere{}", CERTIFICATES)
    yield "certificate", some("/servers/certificates/{}", CERTIFICATES)
    yield "rules", ["/rules/"]
    yield "allowed and blocked", ["/allowed/"]
    yield "lists", ["/lists/"]
    yield "settings", ["/settings"]
    yield "audit trail", ["/audit/"]
    yield "audit trail, no match", some("/audit/?q=nowhere{}", 99)
    yield "tokens", ["/tokens/"]


def main() -> None:
    """Ask every page, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--only", default="", metavar="WORD")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ratwall-") as directory:
        state_dir = Path(directory)
        (state_dir / "ledger.sqlite3").symlink_to(options.ledger.resolve())
        with serve(state_dir) as site:
            visitor = Visitor(site)
            visitor.set_up()
            print(f"memory at the start: {site.memory() / 1e6:.0f} MB")
            print(f"{'':32} {'p50 ms':>8} {'p95 ms':>8} {'CPU p95':>8} {'KB':>6}")
            for name, addresses in pages(random.Random(SEED)):
                if options.only in name:
                    measure(name, addresses, site, visitor)
            print(f"memory at the end: {site.memory() / 1e6:.0f} MB, aim {AIM_MB}")


def measure(name: str, addresses: list[str], site: Site, visitor: Visitor) -> None:
    """Ask a page in turn and print what it took."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.jar)
    took: list[float] = []
    worked: list[float] = []
    context = ssl._create_unverified_context()  # the box's own certificate
    connection = http.client.HTTPSConnection("127.0.0.1", site.port, context=context)
    size = 0
    for number in range(ROUNDS):
        before, began = on_processor(site), time.perf_counter()
        connection.request("GET", addresses[number % len(addresses)], headers={"Cookie": cookies})
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        worked.append(on_processor(site) - before)
        size = max(size, len(body))
        assert answer.status in (200, 204, 404), (addresses[number % len(addresses)], answer.status)
    connection.close()
    cuts, work = statistics.quantiles(took, n=20), statistics.quantiles(worked, n=20)
    aim = AIM_DASHBOARD_MS if name.startswith("dashboard") else AIM_MS
    verdict = "" if cuts[18] < aim else f"  over {aim} ms"
    print(
        f"{name:32} {cuts[9]:8.1f} {cuts[18]:8.1f} {work[18]:8.1f} {size / 1000:6.0f}{verdict}",
        flush=True,
    )


def on_processor(site: Site) -> float:
    """Return how many milliseconds all threads of the server have run so far."""
    threads = Path(f"/proc/{site.process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


if __name__ == "__main__":
    main()
