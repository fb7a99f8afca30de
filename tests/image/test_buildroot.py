"""The external tree for Buildroot, as far as it can be judged without building.

What was built, and when, is in docs/image.md. Options are held to the names that the pinned release
knows (buildroot/symbols.txt.xz), layouts to what genimage makes of them.
"""

import json
import lzma
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from image.conftest import OVERLAY, ROOT
from ratwall import __version__

TREE = ROOT / "buildroot"
BOARDS = sorted(path.parent.name for path in TREE.glob("board/*/meta"))
SYMBOL = re.compile(r"\bBR2_[A-Za-z0-9_]+\b")
SECTOR = 512
# Where a user does not look, but mke2fs and its like are.
TOOLS = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
MEGABYTE = 1024 * 1024
# From docs/image.md; whatever reads the disk goes by these names.
LABELS = ["bootsel", "boot-a", "boot-b", "root-a", "root-b", "data"]
DATA_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
# A kernel without one of these forwards and inspects nothing, or cannot be confined.
VITAL = {
    "NFT_QUEUE",
    "NETFILTER_NETLINK_QUEUE",
    "NF_CT_NETLINK",
    "NF_CONNTRACK_MARK",
    "NF_CONNTRACK_EVENTS",
    "BRIDGE_NETFILTER",
    "NF_TABLES_BRIDGE",
    "NFT_BRIDGE_META",
    "DM_VERITY",
    "SQUASHFS",
    "BLK_DEV_NBD",
    "WATCHDOG",
    "SECCOMP_FILTER",
}


def sourced(path: Path) -> dict[str, str]:
    """The variables that a shell file sets."""
    words = 'set -a; . "$1"; env -0'
    done = subprocess.run(
        ["/bin/sh", "-c", words, "sh", str(path)], env={}, capture_output=True, check=True
    )
    pairs = (entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    return {key: value for key, value in pairs if key not in ("PWD", "SHLVL", "_", "OLDPWD")}


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every option of the pinned release and of this tree."""
    packed = (TREE / "symbols.txt.xz").read_bytes()
    release, *names = lzma.decompress(packed).decode().split()
    assert release == sourced(TREE / "version.conf")["BUILDROOT_TAG"]
    own = re.findall(
        r"^config (\w+)$",
        "".join(path.read_text() for path in TREE.glob("package/*/Config.in")),
        re.MULTILINE,
    )
    assert not set(own) & set(names), "an external tree may not define a bundled package again"
    return {*names, *own}


def unknown(text: str, known: set[str]) -> set[str]:
    """Options in a text that do not exist; the tree's own path is no option."""
    return set(SYMBOL.findall(text)) - known - {"BR2_EXTERNAL_RATWALL_PATH"}


@pytest.mark.parametrize("board", BOARDS)
def test_a_defconfig_names_only_options_that_exist(board: str, known: set[str]) -> None:
    assert unknown((TREE / f"configs/{board}_defconfig").read_text(), known) == set()


def test_a_misspelt_option_would_be_found(known: set[str]) -> None:
    assert unknown("BR2_PACKAGE_RAUCH=y\n", known) == {"BR2_PACKAGE_RAUCH"}


@pytest.mark.parametrize("path", sorted(TREE.glob("package/*/Config.in")), ids=str)
def test_a_package_is_complete_and_selects_what_exists(path: Path, known: set[str]) -> None:
    text = path.read_text()
    name = path.parent.name
    option = f"BR2_PACKAGE_{name.upper().replace('-', '_')}"
    assert text.startswith(f'config {option}\n\tbool "{name}"\n')
    assert unknown(text, known) == set()
    for line in text.splitlines():
        assert re.match(r"(config|comment|\t(bool|depends on|select|help)|\t  |$)", line), line
    assert f'package/{name}/Config.in"' in (TREE / "Config.in").read_text()
    assert (path.parent / f"{name}.mk").is_file()


@pytest.mark.parametrize("name", ["netfilterqueue", "peewee"])
def test_a_python_package_is_the_one_that_the_tests_run_with(name: str) -> None:
    package = TREE / f"package/python-{name}/python-{name}"
    pinned = (ROOT / "scripts/requirements/all.txt").read_text()
    (version,) = re.findall(rf"^{name}==(\S+) ", pinned, re.MULTILINE)
    (locked,) = re.findall(rf"^{name}==.*\n((?:    --hash.*\n)+)", pinned, re.MULTILINE)
    assert f"_VERSION = {version}\n" in package.with_suffix(".mk").read_text()
    (digest,) = re.findall(
        r"^sha256  (\w+)  .*\.tar\.gz$", package.with_suffix(".hash").read_text(), re.MULTILINE
    )
    assert f"sha256:{digest}" in locked


def test_ratwall_has_the_version_and_accounts_of_the_rest() -> None:
    text = (TREE / "package/ratwall/ratwall.mk").read_text()
    (version,) = re.findall(
        r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert f"RATWALL_VERSION = {version}\n" in text
    sysusers = (OVERLAY / "usr/lib/sysusers.d/ratwall.conf").read_text()
    accounts = set(re.findall(r"^u (\S+) +(\d+)", sysusers, re.MULTILINE))
    assert accounts == set(re.findall(r"^\t(\S+) (\d+) \S+ \d+ \*", text, re.MULTILINE))
    assert len(accounts) == 4


def test_every_dependency_of_ratwall_is_on_the_image() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    names = [name.upper().replace("-", "_") for name in re.findall(r'"([A-Za-z-]+)', listed)]
    config = (TREE / "package/ratwall/Config.in").read_text()
    missing = [name for name in names if f"BR2_PACKAGE_PYTHON_{name} " not in config]
    assert missing == []


def test_defconfigs_are_what_the_fragments_say(tmp_path: Path) -> None:
    subprocess.run([TREE / "scripts/make-defconfigs", tmp_path], check=True)
    for board in BOARDS:
        name = f"{board}_defconfig"
        assert (TREE / "configs" / name).read_text() == (tmp_path / name).read_text(), (
            "run buildroot/scripts/make-defconfigs"
        )
    assert len(list(TREE.glob("configs/*"))) == len(BOARDS) == 5


@pytest.mark.parametrize("board", BOARDS)
def test_a_kernel_has_what_the_box_stands_on(board: str) -> None:
    meta = sourced(TREE / "board" / board / "meta")
    lines = [
        line
        for name in meta["KERNEL_FRAGMENTS"].split()
        for line in (TREE / f"kernel/{name}.config").read_text().splitlines()
    ]
    names = [line for line in lines if line.startswith("CONFIG_")]
    assert len(set(names)) == len(names), "an option in two fragments"
    assert {f"CONFIG_{name}=y" for name in VITAL} <= set(names)


def test_a_lost_kernel_option_ends_the_build(tmp_path: Path) -> None:
    check = TREE / "scripts/check-kernel-config"
    fragment, config = tmp_path / "theme.config", tmp_path / "config"
    fragment.write_text("# words\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_N=10\n")

    def passes(text: str) -> bool:
        config.write_text(text)
        return subprocess.run([check, config, fragment], capture_output=True).returncode == 0

    assert passes("CONFIG_A=y\nCONFIG_B=y\nCONFIG_N=10\n")
    assert passes("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_N=10\n")
    assert not passes("CONFIG_B=y\nCONFIG_N=10\n"), "lost"
    assert not passes("CONFIG_A=m\nCONFIG_B=y\nCONFIG_N=10\n"), "a module where none is loaded"
    assert not passes("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\nCONFIG_N=10\n"), "there though unwanted"
    assert not passes("CONFIG_A=y\nCONFIG_B=y\nCONFIG_N=100\n"), "another value"


@pytest.mark.parametrize("board", BOARDS)
def test_the_disk_of_a_board_adds_up(board: str, tmp_path: Path) -> None:
    """genimage lays it out, sfdisk reads it back: labels, types, sizes, nothing overlapping."""
    meta = sourced(TREE / "board" / board / "meta")
    root, given, made = (tmp_path / name for name in ("root", "input", "output"))
    for name, file in (("bootsel", "chooser"), ("boot", "vmlinuz")):
        (root / name).mkdir(parents=True)
        (root / name / file).write_bytes(b"kernel\n" * 1000)
    given.mkdir()
    (given / "rootfs.squashfs").write_bytes(b"hsqs" * 1000)
    subprocess.run(
        [
            *("genimage", "--loglevel", "1", "--config", str(TREE / "genimage/disk.cfg")),
            *("--rootpath", str(root), "--inputpath", str(given)),
            *("--outputpath", str(made), "--tmppath", str(tmp_path / "work")),
        ],
        env={**TOOLS, **meta},
        check=True,
        timeout=60,
    )
    image = made / "ratwall.img"
    table = json.loads(
        subprocess.run(
            ["sfdisk", "--json", str(image)], env=TOOLS, capture_output=True, check=True
        ).stdout
    )["partitiontable"]
    parts = table["partitions"]
    assert table["label"] == "gpt"
    assert [part["name"] for part in parts] == LABELS
    assert [part["name"] for part in parts if part["type"] == DATA_TYPE] == ["data"]
    assert len({part["uuid"] for part in parts}) == len(parts)
    ends = [part["start"] + part["size"] for part in parts]
    for part, end in zip(parts[1:], ends, strict=False):
        assert part["start"] >= end, "they overlap"
        assert part["start"] * SECTOR % MEGABYTE == 0, "flash is written in large blocks"
    assert ends[-1] * SECTOR <= image.stat().st_size
    sizes = {part["name"]: part["size"] * SECTOR // MEGABYTE for part in parts}
    assert sizes["boot-a"] == sizes["boot-b"] and sizes["root-a"] == sizes["root-b"] == 384
    # The smallest card on sale has 8 GB (8,000,000,000 bytes); a mini PC's disk has more.
    assert image.stat().st_size < 8_000_000_000
    listed = subprocess.run(
        ["mdir", "-b", "-i", f"{image}@@{parts[0]['start'] * SECTOR}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "chooser" in listed


def test_the_boards_are_listed_and_a_wrong_one_is_refused() -> None:
    script = ROOT / "scripts/build-image"
    listed = subprocess.run([script, "list"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == BOARDS
    done = subprocess.run([script, "toaster"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "BOARD=toaster" in done.stderr and "rpi5" in done.stderr


def test_another_buildroot_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("export BR2_VERSION := 2020.02\n")
    done = subprocess.run(
        [ROOT / "scripts/build-image", "rpi5", "config"],
        env={**os.environ, "BUILDROOT_DIR": str(tmp_path), "BR2_DL_DIR": str(tmp_path / "dl")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "2020.02" in done.stderr and "expected 2026.02" in done.stderr


def test_a_pis_slots_are_told_apart_by_their_partition() -> None:
    folder = TREE / "board/raspberrypi"
    numbers = {label: number for number, label in enumerate(LABELS, 1)}
    auto = (folder / "autoboot.txt").read_text()
    assert f"boot_partition={numbers['boot-a']}\n[tryboot]\n" in auto
    assert auto.endswith(f"boot_partition={numbers['boot-b']}\n")
    config = (folder / "config.txt").read_text()
    for slot in "ab":
        assert f"[boot_partition={numbers[f'boot-{slot}']}]\ncmdline=cmdline-{slot}.txt\n" in config


def test_no_word_of_a_shell_file_is_left_open() -> None:
    """Sourced files have no first line that names a shell, so the linter does not find them."""
    for path in [*TREE.glob("board/*/meta"), *TREE.glob("board/*/*.sh"), TREE / "version.conf"]:
        assert shlex.split(path.read_text(), comments=True)
        subprocess.run(["shellcheck", "--shell=bash", "--exclude=SC2034,SC1091", path], check=True)


def run_script(
    name: str, board: str, folder: Path, **places: Path
) -> "subprocess.CompletedProcess[str]":
    """Run one of the scripts that Buildroot calls, as it calls them."""
    return subprocess.run(
        [TREE / "scripts" / name, folder, TREE / "board" / board],
        env={
            **TOOLS,
            "BR2_EXTERNAL_RATWALL_PATH": str(TREE),
            **{key: str(path) for key, path in places.items()},
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A root as Buildroot leaves it, as far as the last script looks at it."""
    root = tmp_path / "target"
    for folder in ("etc", "usr/lib", "usr/bin", "usr/sbin", "data"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(OVERLAY / "etc/rauc", root / "etc/rauc")
    (root / "etc/shadow").write_text("root:*:::::::\n")
    (root / "data/.gitkeep").touch()
    return root


def test_the_root_says_what_it_is_and_has_its_mount_points(target: Path) -> None:
    done = run_script("post-build", "rpi5", target)
    assert done.returncode == 0, done.stderr
    name = f'PRETTY_NAME="Ratwall {__version__}, Raspberry Pi 5'
    assert name in (target / "etc/os-release").read_text()
    assert (target / "etc/machine-id").read_bytes() == b""
    assert (target / "etc/fstab").read_bytes() == b""
    updates = target / "etc/systemd/system/systemd-update-done.service"
    assert updates.readlink() == Path("/dev/null")
    assert (target / "etc/ratwall").is_dir() and (target / "mnt/bootsel").is_dir()
    assert list(target.rglob(".gitkeep")) == []


@pytest.mark.parametrize("unwanted", ["gcc", "pip3", "telnetd"])
def test_a_root_with_a_tool_for_strangers_is_not_built(target: Path, unwanted: str) -> None:
    (target / "usr/bin" / unwanted).touch()
    done = run_script("post-build", "rpi5", target)
    assert done.returncode != 0 and unwanted in done.stderr


def test_nothing_starts_the_ssh_server_and_no_box_shares_its_key(target: Path) -> None:
    unit = target / "usr/lib/systemd/system/sshd.service"
    key = target / "etc/ssh/ssh_host_ed25519_key"
    wanted = target / "etc/systemd/system/multi-user.target.wants/sshd.service"
    for path in (unit, key, wanted):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = run_script("post-build", "rpi5", target)
    assert done.returncode == 0, done.stderr
    assert not (unit.exists() or key.exists() or wanted.exists())


@pytest.mark.parametrize("entry", ["root::::::::\n", "root:$5$salt$hash:::::::\n", ""])
def test_a_root_that_root_can_log_in_to_is_not_built(target: Path, entry: str) -> None:
    (target / "etc/shadow").write_text(entry)
    done = run_script("post-build", "rpi5", target)
    assert done.returncode != 0 and "log in" in done.stderr


@pytest.mark.parametrize("board", ["rpi4_64", "rpi5"])
def test_the_image_of_a_pi_is_put_together(board: str, target: Path, tmp_path: Path) -> None:
    """From stand-ins for kernel and firmware, by the scripts of the real build."""
    binaries, build = tmp_path / "images", tmp_path / "build"
    (binaries / "rpi-firmware").mkdir(parents=True)
    build.mkdir()
    for name in ("Image", "board.dtb", "rpi-firmware/start4.elf", "rpi-firmware/fixup4.dat"):
        (binaries / name).write_bytes(b"x" * 1000)
    (binaries / "rootfs.squashfs").write_bytes(b"hsqs" * 1000)
    done = run_script("post-build", board, target)
    assert done.returncode == 0, done.stderr
    places = {"BINARIES_DIR": binaries, "BUILD_DIR": build, "TARGET_DIR": target}
    done = run_script("post-image", board, binaries, **places)
    assert done.returncode == 0, done.stderr
    assert (binaries / f"ratwall-{__version__}-{board}.raucb").is_file()
    image = binaries / "ratwall.img"

    def files(start: int) -> set[str]:
        at = f"{image}@@{start * MEGABYTE}"
        listed = subprocess.run(
            ["mdir", "-b", "-i", at], capture_output=True, text=True, check=True
        )
        return {line.removeprefix("::/").lower() for line in listed.stdout.split()}

    assert files(1) == {"autoboot.txt"}
    boot = {"config.txt", "cmdline-a.txt", "cmdline-b.txt", "kernel8.img", "board.dtb"}
    assert files(17) == files(81) >= boot | {"start4.elf", "fixup4.dat"}
    for slot, label in (("a", "A"), ("b", "B")):
        words = (build / f"ratwall-disk/boot/cmdline-{slot}.txt").read_text().split()
        assert f"root=PARTLABEL=root-{slot}" in words and f"rauc.slot={label}" in words
    subprocess.run(["sha256sum", "--check", "--quiet", f"{image}.sha256"], cwd=binaries, check=True)
