"""Lab tests: those marked `root` make network namespaces, and say so when they cannot."""

import os

import pytest


@pytest.fixture(autouse=True)
def _root_or_skip(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("makes network namespaces: run as root")
