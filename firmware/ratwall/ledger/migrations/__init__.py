"""Brings a ledger to the current schema: numbered scripts, run once each, in order.

Never looks at the models: a script declares what it needs, frozen, so that it still does the same
when the models have moved on. A migration only ever adds (tables, nullable columns, columns with
a default, indexes), because after an update that is rolled back the older software must be able to
go on with the ledger that the newer one left behind.
"""

from pathlib import Path
from typing import Any

from playhouse.migrations import Runner

DIRECTORY = Path(__file__).parent


def migrate(database: Any, directory: Path = DIRECTORY) -> list[str]:
    """Run every pending script in `directory`, each in a transaction; return their names."""
    names: list[str] = Runner(database, str(directory)).up()
    return names
