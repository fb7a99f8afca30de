"""A box, its controller and an inspector, for every test of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.controller.box import Box, FakeInspector, FakeSets, FakeWatch, Running


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    (tmp_path / "run").mkdir()
    made = Box(tmp_path, FakeSets(), FakeWatch())
    yield made
    made.watch.close()


@pytest.fixture
def running(box: Box) -> Iterator[Running]:
    controller = Running(box)
    yield controller
    controller.stop()


@pytest.fixture
def inspector(running: Running) -> Iterator[FakeInspector]:
    made = FakeInspector(running.box.state)
    yield made
    made.close()
