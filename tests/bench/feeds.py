"""What a hundred thousand indicators cost: to load, per handshake, and in an inspector's memory.

    python tests/bench/feeds.py handshakes     paired runs: with the index and without, in turns
    python tests/bench/feeds.py load           from the list to the kernel, and a small change
    python tests/bench/feeds.py memory         a running inspector's, before and after (as root)

`load` needs root and makes a network namespace of its own; nothing leaves the machine. Indicators
are made up: addresses counted through, digests of numbers.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from bench.kinds import kinds  # noqa: E402
from bench.profile_inspector import FREED, MARKS, segments  # noqa: E402
from ratwall.feeds.index import EMPTY, Index, Listed, index_bytes, open_index  # noqa: E402
from ratwall.feeds.indicator import Indicator, Kind  # noqa: E402
from ratwall.inspector.inspector import Inspector  # noqa: E402
from ratwall.queue.binding import QueuedPacket  # noqa: E402
from ratwall.signatures.pack import load_packs  # noqa: E402
from ratwall.verdict.judge import Thresholds  # noqa: E402
from ratwall.verdict.memory import VerdictMemory  # noqa: E402
from ratwall_lab.certificates import Notary  # noqa: E402

INDICATORS = 100_000
PAIRS = 15
CONNECTIONS = 300


def server(number: int) -> str:
    """One address of many: none is private, none is anybody's we know of."""
    return f"{11 + number % 80}.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def made_up(number: int) -> list[Indicator]:
    """As many indicators, of every kind that a handshake is looked up by."""
    found = []
    for each in range(number):
        digest = hashlib.sha256(str(each).encode()).hexdigest()
        match each % 6:
            case 0 | 1:
                found.append(Indicator(Kind.CERTIFICATE_SHA1, digest[:40], 0, "AsyncRAT"))
            case 2:
                found.append(Indicator(Kind.CERTIFICATE_SHA256, digest, 0, "DcRat"))
            case 3:
                found.append(Indicator(Kind.NAME, f"c{each}.rat.example", 0, "VenomRAT"))
            case 4:
                found.append(Indicator(Kind.JA3, digest[:32], 0, "QuasarRAT"))
            case _:
                found.append(Indicator(Kind.ENDPOINT, server(each), 6606, "AsyncRAT"))
    return found


def play(stream: list[list[tuple[bool, bytes]]], index: Index, *, cold: bool, fast: bool) -> float:
    """Queue connections until each is freed; seconds of CPU a connection."""
    inspector = Inspector(
        load_packs(),
        Thresholds(),
        MARKS,
        enforce=True,
        memory=VerdictMemory(),
        report=lambda report: None,
        clock=lambda: time.time_ns() // 1000,
        fast=fast,
    )
    inspector.look_up_in(index)
    begun = time.process_time()
    for connection in stream:
        mark = 0
        if cold:
            inspector._repeats.forget()
        for from_client, datagram in connection:
            side = MARKS.lan if from_client else MARKS.wan
            queued = QueuedPacket(datagram, side | MARKS.to_inspect | mark, lambda: bytes(8))
            release = inspector.decide(queued)
            found = MARKS.class_of(release.mark)
            mark = MARKS.of(found)
            if found in FREED:
                break
    return (time.process_time() - begun) / len(stream)


def handshakes() -> None:
    """Print what the index adds to each kind of handshake."""
    now = time.time_ns() // 1000
    index = Index(index_bytes([Listed("made-up", now, made_up(INDICATORS), ())], now))
    print(f"{len(index)} indicators, {PAIRS} pairs of {CONNECTIONS} connections, µs each")
    for kind in kinds(Notary()):
        stream = [segments(kind, 20_000 + number) for number in range(CONNECTIONS)]
        for how, cold, fast in (
            ("as they come", False, True),
            ("each new to it", True, True),
            ("on the slow path", False, False),
        ):
            without, ratios = [], []
            for number in range(PAIRS):
                order = (EMPTY, index) if number % 2 else (index, EMPTY)
                spent = {id(each): play(stream, each, cold=cold, fast=fast) for each in order}
                without.append(spent[id(EMPTY)])
                ratios.append(spent[id(index)] / spent[id(EMPTY)] - 1)
            print(
                f"  {kind.name:<28} {how:<18} {statistics.median(without) * 1e6:6.1f} "
                f"{statistics.median(ratios) * 100:+6.2f} % "
                f"(quartiles {statistics.quantiles(ratios, n=4)[0] * 100:+.2f} "
                f"{statistics.quantiles(ratios, n=4)[2] * 100:+.2f})"
            )


def load() -> None:
    """Print what it takes to have a list of servers in force, in a namespace of its own."""
    if os.environ.get("RATWALL_BENCH_NAMESPACE") is None:
        argv = ["unshare", "--net", sys.executable, __file__, "load"]
        subprocess.run(argv, check=True, env={**os.environ, "RATWALL_BENCH_NAMESPACE": "1"})
        return
    from ratwall.kernel.command import nft
    from ratwall.kernel.ruleset import RulesetConfig, ruleset

    nft(ruleset(RulesetConfig("lan", "wan", nft_queue=False, ct_timeout=False)))
    with tempfile.TemporaryDirectory() as folder:
        state, listed = Path(folder), Path(folder) / "list.csv"
        settings = state / "ratwall.toml"
        settings.write_text(
            "[feeds]\nshipped = false\n[[feeds.sources]]\n"
            f'name = "made-up"\nkind = "threatfox"\nsource = "{listed}"\n'
        )
        for what, numbers in (
            ("a first list", range(INDICATORS)),
            ("the same again", range(INDICATORS)),
            ("a hundred gone, a hundred new", range(100, INDICATORS + 100)),
        ):
            write_list(listed, numbers)
            begun = time.monotonic()
            looked = run("ratwall.feeds", "--config", str(settings), "--forced", state=state)
            laid = run("ratwall.feeds.lay", state=state)
            print(
                f"{what:<32} {time.monotonic() - begun:5.2f} s: read, screened and indexed in "
                f"{looked:.2f}, laid in {laid:.2f}"
            )


def write_list(path: Path, numbers: range) -> None:
    """Write servers in ThreatFox's format."""
    day = time.strftime("%F 00:00:00", time.gmtime())
    head = (
        '# "first_seen_utc","ioc_id","ioc_value","ioc_type","threat_type","fk_malware",'
        '"malware_alias","malware_printable","last_seen_utc","confidence_level","is_compromised",'
        '"reference","tags","anonymous","reporter"\r\n'
    )
    rows = (
        f'"{day}", "{n}", "{server(n)}:{6606 + n % 3}", "ip:port", "botnet_cc", "win.asyncrat", '
        '"None", "AsyncRAT", "", "100", "False", "None", "asyncrat", "0", "somebody"\r\n'
        for n in numbers
    )
    path.write_text(head + "".join(rows))


def run(module: str, *arguments: str, state: Path) -> float:
    """Run one of the processes; seconds."""
    begun = time.monotonic()
    argv = [sys.executable, "-P", "-m", module, "--state-dir", str(state), *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{module}: {done.stderr}")
    return time.monotonic() - begun


def memory() -> None:
    """Print what a process like the inspector holds with an index of that size in use."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.bin"
        now = time.time_ns() // 1000
        code = (
            "import sys; from pathlib import Path; import ratwall.inspector.process\n"
            "from ratwall.signatures.pack import load_packs; packs = load_packs()\n"
            "from ratwall.feeds.index import open_index; index = open_index(Path(sys.argv[1]))\n"
            "from ratwall.feeds.indicator import Kind; import os\n"
            "for _ in range(20000): [index.find(kind, os.urandom(20)) for kind in Kind]\n"
            "lines = Path('/proc/self/status').read_text().splitlines()\n"
            "print(len(index), *(' '.join(l.split()) for l in lines if l[:3] in ('VmR', 'Rss')))\n"
        )
        for number in (0, INDICATORS):
            path.write_bytes(index_bytes([Listed("made-up", now, made_up(number), ())], now))
            size = path.stat().st_size
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
            )
            print(f"index of {size / 1e6:.1f} MB: {done.stdout.strip()}")
        assert len(open_index(path)) == INDICATORS


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("handshakes", "load", "memory"))
    {"handshakes": handshakes, "load": load, "memory": memory}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
