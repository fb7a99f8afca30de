"""Where the validation corpus is: captures and certificates of other projects.

It is no part of the repository. It is looked for beside it, or where RATWALL_CORPUS says; the tests
that need it are skipped where there is none.
"""

import os
from pathlib import Path

import pytest

CORPUS = Path(
    os.environ.get("RATWALL_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus"
)
CERTIFICATES = CORPUS / "certificates"


def require_corpus() -> None:
    """Skip the test that asks, unless the corpus is there."""
    if not CORPUS.is_dir():
        pytest.skip(f"no corpus at {CORPUS}; RATWALL_CORPUS says where else it is")
