"""`python -m ratwall.support.ended`: notes in the audit trail that support access is over.

Run when the door has closed, whoever closed it: a person, the time, a fault.
"""

import sys
from pathlib import Path

from ratwall.controller.client import Client
from ratwall.errors import RatwallError


def main() -> int:
    """Note it; without a controller only in the log."""
    client = Client(Path(sys.argv[1]) / "run" / "control.sock")
    try:
        client.call("audit", author="root", event="support-off", detail="support access is over")
    except RatwallError as error:
        print(
            f"ratwall: support: access is over (not in the audit trail: {error})", file=sys.stderr
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
