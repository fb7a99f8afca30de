"""A whole day of a simulated office through the controller: what it blocked, and what it told.

Every rule is set to enforce. Prints how much was played and every incident with its facts; exits
with 1 if anything was, or would have been, blocked. `--seed` plays another day.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "firmware")]

from office import Day  # noqa: E402


def main() -> int:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long-here", action="store_true", help="the box is not new, all else is")
    options = parser.parse_args()
    day = Day(options.seed, long_here=options.long_here)
    started = time.monotonic()
    day.play()
    found = day.incidents()
    print(
        f"{day.connections} connections, {day.copies} copied segments in "
        f"{time.monotonic() - started:.0f} s; {len(found)} incidents, {len(day.kernel.cut)} cut"
    )
    for incident in found:
        print(f"{incident['state']} ({incident['score']}): {incident['headline']}")
        for fact in incident["evidence"]:
            print(f"  {fact['points']:+4} {fact['id']}: {fact['text']}")
    return 1 if any(one["state"] != "alert" for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
