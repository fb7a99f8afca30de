"""How updates are signed and trusted, and the script that takes a bad version back."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from image.conftest import OVERLAY, ROOT, UNITS

BOARD = "qemu_x86_64"


def run(*argv: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def keys(what: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(ROOT / "scripts/update-keys", what, **environment)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The keys of a release, as the environment names them."""
    folder = tmp_path_factory.mktemp("release")
    done = run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-noenc", "-subj", "/CN=A release", "-keyout", folder / "key", "-out", folder / "cert"),
    )
    assert done.returncode == 0, done.stderr
    (folder / "key").chmod(0o600)
    return {
        "RATWALL_KEYRING": str(folder / "cert"),
        "RATWALL_SIGN_CERT": str(folder / "cert"),
        "RATWALL_SIGN_KEY": str(folder / "key"),
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with what mark-root changes."""
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    shutil.copytree(OVERLAY / "etc/rauc", root / "etc/rauc")
    return root


def mark(root: Path, bootloader: str = "grub", **environment: str) -> None:
    script = ROOT / "scripts/image/mark-root"
    done = run(script, root, BOARD, "QEMU (x86_64, EFI)", bootloader, **environment)
    assert done.returncode == 0, done.stderr


def bundle(root: Path, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    for name in ("squashfs", "vfat"):
        (tmp_path / name).write_bytes(os.urandom(50_000))
    return run(
        *(ROOT / "scripts/make-bundle", tmp_path / "squashfs", tmp_path / "vfat"),
        *(root / "usr/lib/os-release", root / "etc/rauc/keyring.pem", tmp_path),
        **environment,
    )


def test_development_keys_are_made_once_and_only_their_owner_reads_them() -> None:
    found = [Path(keys(what).stdout.strip()) for what in ("key", "cert", "keyring")]
    assert keys("kind").stdout.strip() == "development"
    for path in found:
        assert path.is_relative_to(ROOT / "build")
        assert path.stat().st_mode & 0o777 == 0o600
    assert [Path(keys(what).stdout.strip()) for what in ("key", "cert", "keyring")] == found
    assert run("git", "-C", ROOT, "check-ignore", found[0]).returncode == 0


def test_an_image_takes_its_own_kind_of_update_and_no_other(
    root: Path, tmp_path: Path, release: dict[str, str]
) -> None:
    mark(root)
    assert f"compatible=ratwall-{BOARD}" in (root / "etc/rauc/system.conf").read_text()
    assert 'RATWALL_UPDATE_KEYS="development"' in (root / "etc/os-release").read_text()
    done = bundle(root, tmp_path)
    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.strip())
    assert file.name.endswith(f"-{BOARD}.raucb")
    development = root / "etc/rauc/keyring.pem"
    assert run("rauc", "info", "--keyring", development, file).returncode == 0
    refused = run("rauc", "info", "--keyring", release["RATWALL_KEYRING"], file)
    assert refused.returncode != 0 and "signature verification failed" in refused.stderr
    file.unlink()

    # Signed by a release, for an image that trusts development keys: not even made.
    refused = bundle(root, tmp_path, **release)
    assert refused.returncode == 1 and "is not made" in refused.stderr
    assert list(tmp_path.glob("*.raucb")) == []

    mark(root, **release)
    assert 'RATWALL_UPDATE_KEYS="release"' in (root / "etc/os-release").read_text()
    assert bundle(root, tmp_path).returncode == 1, "development keys for a release's image"
    done = bundle(root, tmp_path, **release)
    assert done.returncode == 0, done.stderr


def test_a_release_without_a_signer_is_an_image_without_a_bundle(
    root: Path, tmp_path: Path, release: dict[str, str]
) -> None:
    only = {"RATWALL_KEYRING": release["RATWALL_KEYRING"]}
    mark(root, **only)
    done = bundle(root, tmp_path, **only)
    assert (done.returncode, done.stdout) == (0, "") and "no bundle is made" in done.stderr


def test_a_release_that_would_trust_development_keys_is_refused(
    tmp_path: Path, release: dict[str, str]
) -> None:
    both = tmp_path / "both.pem"
    own = Path(keys("keyring").stdout.strip())
    both.write_text(Path(release["RATWALL_KEYRING"]).read_text() + own.read_text())
    done = keys("keyring", RATWALL_KEYRING=str(both))
    assert done.returncode == 2 and "development certificate" in done.stderr


def test_keys_that_cannot_be_used_are_named(tmp_path: Path, release: dict[str, str]) -> None:
    loose = tmp_path / "key"
    shutil.copy(release["RATWALL_SIGN_KEY"], loose)
    loose.chmod(0o640)
    (tmp_path / "empty").touch()
    for environment, words in (
        ({**release, "RATWALL_SIGN_KEY": str(loose)}, "others may read it"),
        ({**release, "RATWALL_SIGN_KEY": str(tmp_path / "none")}, "no such file"),
        ({**release, "RATWALL_KEYRING": str(tmp_path / "none")}, "no such file"),
        ({**release, "RATWALL_KEYRING": str(tmp_path / "empty")}, "holds no certificate"),
        ({"RATWALL_SIGN_KEY": str(loose)}, "whom does the image trust"),
    ):
        done = keys("key", **environment)
        assert done.returncode == 2 and words in done.stderr


def test_raucs_configuration_for_each_boot_loader(root: Path) -> None:
    mark(root)
    text = (root / "etc/rauc/system.conf").read_text()
    assert "bundle-formats=verity" in text and "@" not in text.replace("in @ are", "")
    assert "\nbootloader=grub\ngrubenv=/mnt/bootsel/EFI/BOOT/grubenv\n" in text
    shutil.copy(OVERLAY / "etc/rauc/system.conf", root / "etc/rauc/system.conf")
    mark(root, "tryboot")
    assert (
        "bootloader-custom-backend=/usr/lib/ratwall/tryboot"
        in (root / "etc/rauc/system.conf").read_text()
    )


# -- the script that takes a version back -------------------------------------------------------


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Commands that write down that they were called, and a box on slot B."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("rauc", "systemctl", "sync"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/called\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    (tmp_path / "cmdline").write_text("root=PARTLABEL=root-b ro rauc.slot=B\n")
    return tmp_path


def check(box: Path, python: str, *arguments: str) -> list[str]:
    """Run the script with this in Python's place; what it called."""
    stand_in = box / "python"
    stand_in.write_text(f"#!/bin/sh\n{python}\n")
    stand_in.chmod(0o755)
    done = run(
        OVERLAY / "usr/lib/ratwall/health",
        *arguments,
        PATH=f"{box / 'bin'}:{os.environ['PATH']}",
        RATWALL_UPDATES=str(box),
        RATWALL_COMMAND_LINE=str(box / "cmdline"),
        RATWALL_PYTHON=str(stand_in),
    )
    assert done.returncode == 0, done.stderr
    called = box / "called"
    return called.read_text().splitlines() if called.exists() else []


TAKEN_BACK = ["rauc status mark-bad booted", "sync ", "systemctl --no-block reboot"]


@pytest.mark.parametrize("python", ["exit 1", "exit 127", "kill -SEGV $$"])
def test_a_version_on_trial_is_taken_back_also_when_its_python_does_not_start(
    box: Path, python: str
) -> None:
    (box / "trial").write_text("B\n")
    assert check(box, python) == TAKEN_BACK


def test_a_version_whose_check_ended_the_trial_as_failed_is_taken_back(box: Path) -> None:
    (box / "trial").write_text("B\n")
    assert check(box, f"rm {box}/trial; exit 1") == TAKEN_BACK


def test_a_version_that_passes_stays(box: Path) -> None:
    (box / "trial").write_text("B\n")
    assert check(box, "exit 0") == []


@pytest.mark.parametrize("trial", [None, "A\n", ""])
def test_a_version_that_is_not_on_trial_is_never_restarted(box: Path, trial: str | None) -> None:
    if trial is not None:
        (box / "trial").write_text(trial)
    assert check(box, "exit 1") == []


def test_a_version_whose_check_cannot_be_started_is_taken_back_while_on_trial(box: Path) -> None:
    assert check(box, "exit 0", "take-back") == []
    (box / "trial").write_text("B\n")
    assert check(box, "exit 0", "take-back") == TAKEN_BACK
    assert "OnFailure=ratwall-takeback.service" in (UNITS / "ratwall-health.service").read_text()
