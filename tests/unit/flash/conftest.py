import hashlib
from pathlib import Path

import pytest

from ratwall_flash.image import Image, read_image
from unit.flash.images import make_image


@pytest.fixture(scope="session")
def image_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with its .sha256 beside it."""
    path = make_image(tmp_path_factory.mktemp("image") / "ratwall.img")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("ratwall.img.sha256").write_text(f"{digest}  ratwall.img\n")
    return path


@pytest.fixture(scope="session")
def image(image_file: Path) -> Image:
    return read_image(image_file, lambda done, total: None)
