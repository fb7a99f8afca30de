"""What ten open tabs of the dashboard cost: share of a core of the page's process, and answer time.

    python tests/bench/tabs.py [--tabs 10] [--seconds 30]

A real page over HTTPS, a ledger with a day in it that goes on growing, so that every answer is a
new one; each tab asks every two seconds on a connection of its own, as a browser does.
"""

import argparse
import http.client
import ssl
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
for folder in ("firmware", "web", "tests"):
    sys.path.insert(0, str(ROOT / folder))

from web.conftest import PASSWORD, Site, Visitor, serve  # noqa: E402 -- after the path
from web.peer import ControllerPeer  # noqa: E402
from web.story import Office  # noqa: E402

POLL_S = 2.0  # as in templates/overview/live.html
INCIDENTS = 5  # as many as the dashboard shows


class Tab(threading.Thread):
    """One open tab: asks, waits, asks again; `times` are seconds from request to whole answer."""

    def __init__(self, site: Site, cookie: str, late: float, until: float) -> None:
        super().__init__()
        self.times: list[float] = []
        self.sizes: list[int] = []
        self._site, self._cookie, self._late, self._until = site, cookie, late, until

    def run(self) -> None:
        """Poll until the time is up."""
        context = ssl._create_unverified_context()  # the box's own certificate
        connection = http.client.HTTPSConnection("127.0.0.1", self._site.port, context=context)
        headers = {"Cookie": self._cookie, "HX-Request": "true", "Accept-Encoding": "gzip"}
        next_at = time.monotonic() + self._late
        while (left := next_at - time.monotonic()) < self._until - time.monotonic():
            time.sleep(max(0.0, left))
            next_at += POLL_S
            begun = time.monotonic()
            connection.request("GET", "/live?seen=0", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == http.HTTPStatus.OK, answer.status
            self.times.append(time.monotonic() - begun)
            self.sizes.append(len(body))
        connection.close()


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tabs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ratwall-") as directory:
        state = Path(directory)
        office = Office(state / "ledger.sqlite3")
        office.fill_day()
        for _ in range(INCIDENTS):
            office.attack()
        peer = ControllerPeer(state, office)
        with serve(state) as site:
            _measure(site, office, options.tabs, options.seconds)
        peer.close()
        office.close()


def _measure(site: Site, office: Office, tabs: int, seconds: float) -> None:
    visitor = Visitor(site)
    assert visitor.set_up(PASSWORD).status == http.HTTPStatus.SEE_OTHER
    cookie = "; ".join(f"{one.name}={one.value}" for one in visitor.jar)
    process = psutil.Process(site.process.pid)
    begun = time.monotonic()
    spent = sum(process.cpu_times()[:2])
    pollers = [Tab(site, cookie, number * POLL_S / tabs, begun + seconds) for number in range(tabs)]
    for tab in pollers:
        tab.start()
    while time.monotonic() < begun + seconds:
        office.browse()
        time.sleep(POLL_S / 4)
    for tab in pollers:
        tab.join()
    elapsed = time.monotonic() - begun
    busy = (sum(process.cpu_times()[:2]) - spent) / elapsed
    times = sorted(one for tab in pollers for one in tab.times)
    size = statistics.median(one for tab in pollers for one in tab.sizes)
    print(
        f"{tabs} tabs, {len(times)} answers in {elapsed:.0f} s: {100 * busy:.1f} % of a core; "
        f"answer p50 {1000 * statistics.median(times):.1f} ms, "
        f"p95 {1000 * times[int(0.95 * len(times))]:.1f} ms, {size / 1000:.1f} kB; "
        f"{site.memory() / 1e6:.0f} MB resident"
    )


if __name__ == "__main__":
    main()
