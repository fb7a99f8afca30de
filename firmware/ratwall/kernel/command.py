"""Runs the system's network tools: the one place that starts `nft`, `ip`, `iptables`.

A tool that is missing is named with the package that holds it; what a tool refuses is passed on as
one line.
"""

import json
import shutil
import subprocess
from typing import Any

from ratwall.errors import RatwallError

# Long enough for a loaded Pi, short enough that a hung tool is noticed.
TIMEOUT_SECONDS = 20
PACKAGES = {  # where the package has another name than the tool
    "nft": "nftables",
    "ip": "iproute2",
    "ip6tables": "iptables",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


class ToolError(RatwallError):
    """A network tool is missing or refused what it was asked."""


def require(*tools: str) -> None:
    """Raise ToolError that names every tool not found on PATH and how to install it."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(tool, tool) for tool in missing}))
        raise ToolError(f"{', '.join(missing)} not found; install with: apt-get install {packages}")


def run(*argv: str, stdin: str | None = None) -> str:
    """Run a tool, return what it printed; ToolError with its first line of complaint."""
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except FileNotFoundError:
        require(argv[0])
        raise
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{argv[0]} did not answer within {TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        complaint = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[0]
        raise ToolError(f"{' '.join(argv[:4])}: {complaint}")
    return done.stdout


def nft(text: str) -> None:
    """Apply nftables text as one transaction: all of it or nothing."""
    run("nft", "-f", "-", stdin=text)


def nft_json(*argv: str) -> list[dict[str, Any]]:
    """Return the objects of an `nft -j` listing, its `metainfo` left out."""
    listing = json.loads(run("nft", "-j", *argv))["nftables"]
    return [entry for entry in listing if "metainfo" not in entry]


def ip_json(*argv: str) -> list[dict[str, Any]]:
    """Return the objects of an `ip -j` listing."""
    listing: list[dict[str, Any]] = json.loads(run("ip", "-j", *argv) or "[]")
    return listing
