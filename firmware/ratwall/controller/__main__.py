"""`python -m ratwall.controller`: the controller with the real kernel, in the foreground."""

import argparse
import grp
import logging
import os
import shutil
import signal
import sys
import time
from ipaddress import ip_address
from pathlib import Path

from ratwall.controller.capacity import Capacity
from ratwall.controller.captures import MEGABYTE, Captures
from ratwall.controller.feeds import Feeds
from ratwall.controller.health import Health
from ratwall.controller.machine import look
from ratwall.controller.packs import Packs
from ratwall.controller.process import Process
from ratwall.controller.service import Service
from ratwall.controller.sockets import open_doors
from ratwall.controller.testing import LOST, LOST_AUTHOR, Selftests, knocker
from ratwall.controller.wiring import wire
from ratwall.errors import NotPermittedError, RatwallError, UsageError
from ratwall.evidence.capture import DIRECTORY, CaptureDirectory
from ratwall.export import facts
from ratwall.feeds.directory import FeedDirectory
from ratwall.inspector.heartbeat import Heartbeat
from ratwall.kernel.command import ip_json, nft, require
from ratwall.kernel.conntrack import BlockWatch
from ratwall.kernel.links import find_bridge, gateways, hidden_routers, own_addresses, resolvers
from ratwall.kernel.marks import Marks
from ratwall.kernel.nflog import CopyReader
from ratwall.kernel.reclass import Reclassifier
from ratwall.kernel.response import ResponseConfig
from ratwall.kernel.ruleset import TABLE
from ratwall.kernel.sets import Sets
from ratwall.ledger.store import FILE_NAME, open_ledger
from ratwall.settings.load import load_settings
from ratwall.settings.schema import Settings

log = logging.getLogger(__name__)


def main() -> None:
    """Run the controller until SIGTERM or SIGINT; RatwallError if it cannot start."""
    options = _parse()
    logging.basicConfig(format="ratwall: controller: %(message)s", level=logging.WARNING)
    settings = load_settings(options.config)
    require("nft", "ip")
    run_directory = options.state_dir / "run"
    try:
        run_directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--state-dir {options.state_dir}: {error.strerror}") from error
    try:
        watch = BlockWatch(Marks(settings.kernel.mark_mask))
    except PermissionError as error:
        raise NotPermittedError(
            "the controller needs CAP_NET_ADMIN to see blocks proven; run it as root"
        ) from error
    # First of all: a second controller must not touch the ledger of the first.
    doors = open_doors(run_directory, options.inspector_group, options.web_group)
    routes = options.mode == "router"
    bridge = None if routes else find_bridge(options.lan, options.wan)
    service = Service(
        settings,
        enforce=_enforces(settings, options),
        open_ledger=lambda: open_ledger(options.state_dir / FILE_NAME, group=options.web_group),
        sets=Sets(
            ResponseConfig(
                TABLE,
                Marks(settings.kernel.mark_mask),
                options.lan,
                options.wan,
                routes=routes,
            )
        ),
        watch=watch,
        never_block=_never_block(settings),
        spared=hidden_routers(bridge),
        neighbour=_neighbour,
        clock=lambda: time.time_ns() // 1000,
        origin=_origin(),
        steady=lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
        free_bytes=lambda: shutil.disk_usage(options.state_dir).free,
    )

    def read_again() -> None:
        try:
            changed = load_settings(options.config)
        except RatwallError as error:
            log.warning("going on with the settings before: %s", error)
            return
        service.reconfigure(
            changed, enforce=_enforces(changed, options), never_block=_never_block(changed)
        )
        print("ready", flush=True)

    capacity = Capacity(
        Marks(settings.kernel.mark_mask),
        # A bridge's ports are one interface to the inet hooks.
        (options.lan, options.wan) if bridge is None else (bridge,),
        settings.kernel.connections,
        routes=routes,
    )
    naming = wire(
        service,
        copies=CopyReader(settings.kernel.log_group),
        answers=CopyReader(settings.kernel.log_group + 1, gather=False),
        classes=Reclassifier(Marks(settings.kernel.mark_mask)),
        table=watch.dump,
        packs=Packs(options.state_dir, settings.signatures.trust),
        lookup_options=_for_lookups(options),
    )
    service.captures = Captures(
        CopyReader(settings.kernel.log_group + 2),
        CaptureDirectory(options.state_dir / DIRECTORY, settings.capture.max_megabytes * MEGABYTE),
        nft,
        settings.kernel.log_group + 2,
        lambda: service.settings.capture,
        service.clock,
    )
    service.findings.watchers.append(service.captures.take_finding)
    service.add(service.captures)
    service.feeds = Feeds(
        CopyReader(settings.kernel.log_group + 3, gather=False),
        FeedDirectory(options.state_dir),
        options.state_dir,
        options.config,
        nft,
        lambda: (service.effective(), service.enforce),
        lambda: _own(service.settings),
        watch.dump,
        naming.asked_by,
        naming.looked_up,
        service.findings.take,
        lambda message: service.push(message),
        service.clock,
    )
    service.add(service.feeds)
    ports = (options.lan, options.wan)
    service.health = Health(lambda: look(ports, options.state_dir))
    service.add(service.health)
    service.testing = Selftests(
        knocker(run_directory, service.steward),
        service.clock,
        lambda: service.take_selftest(LOST, LOST_AUTHOR),
    )
    service.add(service.testing)
    service.export_directory = options.state_dir / facts.DIRECTORY
    service.start()
    process = Process(service, watch.fileno(), doors, options, read_again, capacity)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    signal.signal(signal.SIGHUP, lambda *_: process.hang_up())
    heartbeat = Heartbeat()
    heartbeat.ready()
    print("ready", flush=True)
    process.run(heartbeat.beat)
    heartbeat.close()
    watch.close()


def _origin() -> str:
    """Return what tells this life of the kernel's table from others: who laid it, since when.

    That is the parent: the supervisor, or the service manager, which outlives every table.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    parent = os.getppid()
    # The name in brackets may hold anything; the start is the 20th field behind it (proc(5)).
    started = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{boot} {parent} {started}"


def _enforces(settings: Settings, options: argparse.Namespace) -> bool:
    return settings.detection.enforce and not options.monitor_only


def _never_block(settings: Settings) -> frozenset[str]:
    addresses = {*settings.never_block.addresses, *own_addresses(), *gateways()}
    return frozenset(str(ip_address(address)) for address in addresses)


def _for_lookups(options: argparse.Namespace) -> list[str]:
    config = [] if options.config is None else ["--config", str(options.config)]
    return ["--state-dir", str(options.state_dir), *config]


def _own(settings: Settings) -> dict[str, str]:
    """Return this site's addresses, and what each is, which no feed may list."""
    found = dict.fromkeys(settings.never_block.addresses, "which is on the never-block list")
    found |= dict.fromkeys(resolvers(), "a name server of this box")
    found |= dict.fromkeys(map(str, gateways()), "a gateway of this box")
    return found | dict.fromkeys(map(str, own_addresses()), "an address of this box")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ratwall.controller")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--lan", required=True)
    parser.add_argument("--wan", required=True)
    parser.add_argument("--mode", choices=("router", "bridge"), required=True)
    parser.add_argument("--monitor-only", action="store_true")
    parser.add_argument(
        "--web-group", type=_group, help="group that reads the ledger and sends commands"
    )
    parser.add_argument("--inspector-group", type=_group, help="group that sends reports")
    return parser.parse_args()


def _group(text: str) -> int:
    """Return a group by its number or its name; for argparse."""
    if text.isdecimal():
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise argparse.ArgumentTypeError(f"no group {text!r} on this machine") from None


def _neighbour(address: str) -> str | None:
    """Return the MAC of a device on the LAN from the kernel's neighbour table."""
    for entry in ip_json("neighbor", "show", address):
        if "lladdr" in entry:
            return str(entry["lladdr"])
    return None


try:
    main()
except RatwallError as error:
    print(f"ratwall: controller: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
