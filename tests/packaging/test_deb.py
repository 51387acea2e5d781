"""The Debian package: what is in it, and what it does to a machine with a real systemd."""

import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import openclawd
from openclawd.service.unit import ServiceSpec, service_text
from tests.packaging.frozen import ROOT
from tests.packaging.release import Release, release
from tests.support.systemd import run_under_systemd, why_not
from tests.support.versions import variant

pytestmark = pytest.mark.binary

FULL = os.environ.get("OPENCLAWD_TEST_FULL") == "1"
DPKG = Path("/var/lib/dpkg")

# dpkg writes to /usr and to its database; what it writes goes away with the machine.
WRITABLE = """
for place in /usr /var/lib/dpkg; do
    over=/run/over$place
    mkdir -p $over/upper $over/work
    mount -t overlay overlay -o lowerdir=$place,upperdir=$over/upper,workdir=$over/work $place
done
: > /var/lib/dpkg/statoverride
rm -f /usr/sbin/policy-rc.d
export PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive
trap 'echo == journal; journalctl --sync; journalctl --no-pager -o cat -t openclawd -n 30' ERR
# The triggers of other packages are not what this is about.
dpkg() { command dpkg --no-triggers "$@"; }
ask() { curl --silent --show-error --max-time 5 "$@" || echo "failed: $?"; }
version() {
    ask -H "Authorization: Bearer $token" http://127.0.0.1:18789/metrics |
        sed -n 's/^openclawd_info{version="//p'
}
"""


@pytest.fixture(scope="module")
def made() -> Release:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb here (Debian has it; elsewhere the package is called dpkg)")
    return release()


@pytest.fixture(scope="module")
def tree(made: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package unpacked, with its control files in DEBIAN."""
    folder = tmp_path_factory.mktemp("deb") / "tree"
    subprocess.run(("dpkg-deb", "--raw-extract", made.deb, folder), check=True)
    return folder


def control(tree: Path) -> dict[str, str]:
    text = (tree / "DEBIAN" / "control").read_text()
    return dict(re.findall(r"^(\S+): (.*)$", text, re.MULTILINE))


def members(deb: Path) -> list[tarfile.TarInfo]:
    shown = subprocess.run(("dpkg-deb", "--fsys-tarfile", deb), capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(shown.stdout)) as archive:
        return archive.getmembers()


# --- what is in it


def test_it_says_what_it_needs_of_the_system(tree: Path) -> None:
    fields = control(tree)
    assert fields["Package"] == "openclawd"
    needed = {each.split()[0] for each in fields["Depends"].split(", ")}
    assert needed <= {"libc6", "zlib1g", "systemd", "init-system-helpers"}
    # What it was built on has what it needs.
    (version,) = re.findall(r"libc6 \(>= ([\d.]+)\)", fields["Depends"])
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    assert tuple(map(int, version.split("."))) <= tuple(map(int, libc.split()[1].split(".")))


def test_every_file_is_roots_and_only_root_may_write_it(made: Release) -> None:
    for member in members(made.deb):
        assert (member.uname, member.gname) == ("root", "root")
        if not member.issym():
            assert member.mode in {0o755, 0o644}, member.name


def test_the_unit_is_the_one_that_the_installer_would_write(tree: Path) -> None:
    unit = (tree / "usr/lib/systemd/system/openclawd.service").read_text()
    spec = ServiceSpec(program=("/usr/bin/openclawd",), system=True, guarded=False)
    assert unit == service_text(spec)
    assert "\nExecStart=/usr/bin/openclawd gateway\n" in unit


def test_there_are_no_settings_of_which_dpkg_would_ask_on_an_upgrade(tree: Path) -> None:
    assert not (tree / "etc").exists()
    assert not (tree / "DEBIAN" / "conffiles").exists()


def test_the_checksums_that_dpkg_verifies_are_right(tree: Path) -> None:
    checked = subprocess.run(
        ("md5sum", "--check", "--quiet", "DEBIAN/md5sums"),
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    listed = (tree / "DEBIAN" / "md5sums").read_text().count("\n")
    files = [path for path in (tree / "usr").rglob("*") if path.is_file() and not path.is_symlink()]
    assert listed == len(files)


def test_no_library_is_looked_for_where_it_was_built(tree: Path) -> None:
    """A folder that somebody else may make on another machine would let him in."""
    for file in (tree / "usr/lib/openclawd").rglob("*"):
        if file.is_file() and not file.is_symlink() and file.read_bytes()[:4] == b"\x7fELF":
            shown = subprocess.run(("objdump", "-p", file), capture_output=True, text=True, check=True).stdout
            for path in re.findall(r"^\s+R(?:UN)?PATH\s+(\S+)", shown, re.MULTILINE):
                assert all(part.startswith("$ORIGIN") for part in path.split(":")), f"{file.name}: {path}"


def test_lintian_has_nothing_against_it(made: Release) -> None:
    if not FULL or shutil.which("lintian") is None:
        pytest.skip("takes a quarter of a minute: scripts/test --full, where lintian is installed")
    command = ("lintian", "--allow-root", "--fail-on", "error,warning", made.deb)
    looked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stdout


def test_the_same_inputs_give_the_same_bytes(made: Release, installed: Path, tmp_path: Path) -> None:
    if not FULL:
        pytest.skip("builds it once more: scripts/test --full")
    one = made.deb_of(installed, tmp_path / "one")
    elsewhere = shutil.copytree(installed, tmp_path / "elsewhere")
    (elsewhere / "LICENSE").chmod(0o600)
    two = made.deb_of(elsewhere, tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()


# --- what it does


def sections(output: str) -> dict[str, str]:
    """What was printed between `== NAME` and the next one."""
    parts = re.split(r"^== (.+)$", output, flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def successor(tree: Path, installed: Path, folder: Path) -> Path:
    """The package of version 99.0.0, in a moment: not compressed."""
    changed = shutil.copytree(tree, folder / "tree", symlinks=True)
    module = "_internal/openclawd/__init__.pyc"
    other = variant(installed, folder / "binary", "99.0.0")
    shutil.copyfile(other / module, changed / "usr/lib/openclawd" / module)
    told = changed / "DEBIAN" / "control"
    told.write_text(re.sub(r"^Version: .*$", "Version: 99.0.0", told.read_text(), flags=re.MULTILINE))
    deb = folder / "newer.deb"
    command = ("dpkg-deb", "--root-owner-group", "-Znone", "--build", changed, deb)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return deb


def test_it_installs_upgrades_goes_back_and_leaves_the_state(
    made: Release, tree: Path, installed: Path, one_file: Path, tmp_path: Path
) -> None:
    if why_not() is not None:
        pytest.skip(str(why_not()))
    (tmp_path / "debs").mkdir()
    downloaded = shutil.copy(one_file, tmp_path / "debs")
    newer = shutil.copy(successor(tree, installed, tmp_path), tmp_path / "debs")
    shutil.copy(made.deb, tmp_path / "debs")
    older = tmp_path / "debs" / made.deb.name
    how = "systemctl show openclawd -p ActiveState,NRestarts,MainPID"
    script = [
        WRITABLE,
        f"echo == installed; dpkg -i {older}; {how}; systemctl is-enabled openclawd",
        "echo == owner; stat -c '%U %a' /var/lib/openclawd",
        "ps -o user= -p $(systemctl show openclawd -P MainPID)",
        'token=$(sed -n \'s/.*"token": *"\\(.*\\)".*/\\1/p\' /var/lib/openclawd/openclaw.json)',
        "echo == asked; openclawd health --json | tr -d '\\n'; echo",
        "echo == page; ask http://127.0.0.1:18789/ | grep -c '<title>'",
        "echo == update; openclawd update run 2>&1 || true",
        f"echo == beside; {downloaded} gateway install --system 2>&1 || true",
        "ls -d /opt/openclawd /etc/systemd/system/openclawd.service 2>&1 || true",
        # The files of the new version, under the old one: it serves on, also what it has not needed so far.
        f"echo == unpacked; dpkg --unpack {newer}; version",
        "ask http://127.0.0.1:18789/ | grep -c '<title>'",
        f"echo == upgraded; dpkg --configure openclawd; {how}; version",
        # Back again, to files that turn out to be damaged.
        f"echo == damaged; dpkg --unpack {older}",
        "echo broken > /usr/lib/openclawd/_internal/openclawd/cli/check.pyc",
        f"dpkg --configure openclawd; {how}; version",
        f"echo == back; dpkg -i {older}; {how}; version; dpkg --verify openclawd",
        "echo == removed; dpkg -r openclawd; systemctl is-active openclawd || true",
        "ls -A /usr/lib/openclawd 2>&1 || true",
        "echo == purged; dpkg -P openclawd; ls /var/lib/openclawd; ls /etc/systemd/system",
        f"echo == again; dpkg -i {older}; {how}; version",
        "echo == end",
    ]
    output = run_under_systemd("\n".join(script), shown=[tmp_path / "debs", DPKG])
    said = sections(output)
    assert "end" in said, output

    assert "The link to the chat: sudo openclawd dashboard" in said["installed"]
    pid = re.findall(r"MainPID=(\d+)", said["installed"])[0]
    runs = ("ActiveState=active", "NRestarts=0", f"MainPID={pid}")
    assert all(line in said["installed"] for line in runs), output
    assert said["installed"].endswith("\nenabled")
    assert said["owner"].split() == ["openclawd", "700", "openclawd"]
    assert '"ok": true' in said["asked"]
    assert said["page"] == "1"

    assert "sudo apt install ./openclawd_" in said["update"]

    assert "openclawd is installed here as a package" in said["beside"]
    assert "systemctl enable --now openclawd" in said["beside"]
    assert said["beside"].count("No such file") == 2

    assert f'{openclawd.__version__}"' in said["unpacked"]
    assert said["unpacked"].endswith("\n1")

    assert all(line in said["upgraded"] for line in (*runs, '99.0.0"')), output
    assert "still runs" not in said["upgraded"]

    assert all(line in said["damaged"] for line in (*runs, '99.0.0"')), output
    assert (
        "openclawd: the service still runs the version before: ready; restart cancelled:" in said["damaged"]
    )

    assert all(line in said["back"] for line in (*runs, f'{openclawd.__version__}"')), output
    assert "still runs" not in said["back"]

    assert "inactive" in said["removed"]
    assert "No such file" in said["removed"]
    assert "rm -r /var/lib/openclawd" in said["purged"]
    assert "openclaw.json" in said["purged"]
    assert not re.search(r"^openclawd\.service|multi-user", said["purged"], re.MULTILINE)
    assert "ActiveState=active" in said["again"]
    assert f'{openclawd.__version__}"' in said["again"], "with the token that clients know"


def test_its_scripts_are_read_by_every_shell() -> None:
    scripts = [ROOT / "packaging" / "deb" / name for name in ("postinst", "prerm", "postrm")]
    shells = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
    assert shells
    for shell in shells:
        for script in scripts:
            words = (shell, "sh", "-n", script) if shell == "busybox" else (shell, "-n", script)
            subprocess.run(words, check=True)
