"""What the lab needs from the system, and the command that installs what is missing.

It never installs anything itself.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable

from ratwall_lab.namespaces import LabError

PACKAGES = {  # tool → Debian package
    "ip": "iproute2",
    "nft": "nftables",
    "ethtool": "ethtool",
    "iptables": "iptables",
    "openssl": "openssl",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
LAB_TOOLS = ("ip", "nft", "ethtool")
DEMO_TOOLS = tuple(PACKAGES)
MODULES = ("cryptography", "scapy")


def check_root(what: str) -> None:
    """Raise LabError unless we are root."""
    if os.geteuid() != 0:
        raise LabError(f"{what} makes network namespaces: run it as root (try: sudo {what})")


def check_tools(tools: Iterable[str] = LAB_TOOLS) -> None:
    """Raise LabError that names every missing tool and module, and what installs them."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES[tool] for tool in missing}))
        raise LabError(
            f"missing system tools: {', '.join(missing)}; install with: apt-get install {packages}"
        )
    absent = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if absent:
        raise LabError(
            f"missing Python packages: {', '.join(absent)}; `make setup` installs them in .venv"
        )
