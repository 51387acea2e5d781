"""Make the Debian package: packaging/deb.py BINARY MANUAL SBOM INTO

BINARY is the folder that packaging/build makes, MANUAL the manual page, SBOM what is inside, INTO the folder
where `openclawd_<version>_<architecture>.deb` goes. Prints the name of that file. Times are
SOURCE_DATE_EPOCH's, so the same inputs give the same bytes. Needs dpkg-deb and objdump.
"""

import argparse
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

from openclawd.service.unit import ServiceSpec, service_text

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "packaging" / "deb"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
MAINTAINER = "openclawd contributors <openclawd@users.noreply.github.com>"
PROGRAM = "usr/lib/openclawd"
DOCUMENTS = "usr/share/doc/openclawd"

# What the program may need of the system, and the package that has it. Anything else is to be inside.
SYSTEM_LIBRARIES = {
    **dict.fromkeys(("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"), "libc6"),
    **dict.fromkeys(("libutil.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"), "libc6"),
    # The loader that PyInstaller puts in front reads archives before it looks inside.
    "libz.so.1": "zlib1g",
}

DESCRIPTION = """\
OpenClaw Gateway as a small, fast, supervised daemon
 Serves the clients of OpenClaw over HTTP and WebSocket, and a chat in the
 browser, as a system service. Clients sleep through restarts, updates and
 crashes; the right credential always gets in; what was accepted is never lost.
 .
 It listens on 127.0.0.1:18789 until its configuration says otherwise, and
 wants a token that it makes at its first start."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="packaging/deb.py", description="Make the Debian package.")
    for name in ("binary", "manual", "sbom", "into"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    for tool in ("dpkg-deb", "objdump"):
        if shutil.which(tool) is None:
            sys.exit(f"packaging/deb.py needs {tool} (Debian: sudo apt-get install dpkg binutils).")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    with tempfile.TemporaryDirectory(prefix="openclawd-deb-") as name:
        tree = Path(name) / "tree"
        version = version_of(asked.binary)
        lay_out(tree, asked.binary, asked.manual, asked.sbom, changelog(version, epoch))
        describe(tree, version)
        settle(tree, epoch)
        print(pack(tree, asked.into, version, epoch).name)


def version_of(binary: Path) -> str:
    """As the program itself says it. A pre-release sorts before its release: 1.0rc1 is Debian's 1.0~rc1."""
    said = subprocess.run((binary / "openclawd", "--version"), capture_output=True, text=True, check=True)
    return re.sub(r"[._-]?(a|b|rc|dev)(\d+)", r"~\1\2", said.stdout.split()[1])


def lay_out(tree: Path, binary: Path, manual: Path, sbom: Path, changed: str) -> None:
    """The files of the package under their paths."""
    shutil.copytree(binary, tree / PROGRAM, symlinks=True)
    documents = tree / DOCUMENTS
    documents.mkdir(parents=True)
    # Texts belong where texts are; /usr/lib is what runs.
    (tree / PROGRAM / "licences").rename(documents / "licences")
    (tree / PROGRAM / "LICENSE").unlink()
    shutil.copy(sbom, documents / "sbom.cdx.json")
    compress(changed.encode(), documents / "changelog.gz")
    compress((ROOT / "CHANGELOG.md").read_bytes(), documents / "NEWS.md.gz")
    write(documents / "copyright", copyright_text())
    compress(manual.read_bytes(), tree / "usr/share/man/man1/openclawd.1.gz")
    write(tree / "usr/lib/systemd/system/openclawd.service", unit())
    write(tree / "usr/lib/sysusers.d/openclawd.conf", (SOURCE / "openclawd.sysusers").read_text())
    write(tree / "usr/share/lintian/overrides/openclawd", (SOURCE / "lintian-overrides").read_text())
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/openclawd").symlink_to("../lib/openclawd/openclawd")


def unit() -> str:
    """The system's unit. dpkg replaces the files of a version: there is no slot, and no guard before it."""
    return service_text(ServiceSpec(program=("/usr/bin/openclawd",), system=True, guarded=False))


def copyright_text() -> str:
    licence = (ROOT / "LICENSE").read_text()
    words = licence.partition("Permission is hereby granted")
    body = (words[1] + words[2]).strip().splitlines()
    return (SOURCE / "copyright").read_text() + "".join(f" {line or '.'}\n" for line in body)


def changelog(version: str, epoch: int) -> str:
    """Debian's form of it; what changed stands in NEWS.md.gz."""
    return (
        f"openclawd ({version}) unstable; urgency=medium\n\n"
        f"  * What is new: /{DOCUMENTS}/NEWS.md.gz\n\n"
        f" -- {MAINTAINER}  {formatdate(epoch)}\n"
    )


# --- what it says of itself


def describe(tree: Path, version: str) -> None:
    """The control files."""
    control = tree / "DEBIAN"
    control.mkdir()
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    installed = [path for path in files if control not in path.parents]
    sums = (f"{md5(path)}  {path.relative_to(tree)}\n" for path in installed)
    (control / "md5sums").write_text("".join(sums))
    fields = {
        "Package": "openclawd",
        "Version": version,
        "Architecture": ARCHITECTURES[platform.machine()],
        "Maintainer": MAINTAINER,
        "Installed-Size": str(-(-sum(path.stat().st_size for path in installed) // 1024)),
        "Depends": ", ".join(depends(tree / PROGRAM)),
        "Recommends": "ca-certificates",
        "Section": "net",
        "Priority": "optional",
        "Description": DESCRIPTION,
    }
    (control / "control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    for script in ("postinst", "prerm", "postrm"):
        shutil.copy(SOURCE / script, control / script)


def md5(file: Path) -> str:
    """What dpkg --verify compares with: damage, not malice."""
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def depends(program: Path) -> Iterator[str]:
    """The packages that it needs. Raises SystemExit for a library that is neither inside nor the system's."""
    inside = {path.name for path in program.rglob("*.so*")}
    packages: set[str] = set()
    newest: tuple[int, ...] = (2, 0)
    for file in elf_files(program):
        shown = subprocess.run(("objdump", "-p", file), capture_output=True, text=True, check=True).stdout
        needed = set(re.findall(r"^\s+NEEDED\s+(\S+)", shown, re.MULTILINE)) - inside
        if unknown := needed - SYSTEM_LIBRARIES.keys():
            sys.exit(f"{file} needs {', '.join(sorted(unknown))}, which is not inside.")
        packages |= {SYSTEM_LIBRARIES[name] for name in needed}
        for version in re.findall(r"\bGLIBC_(\d+(?:\.\d+)+)", shown):
            newest = max(newest, tuple(map(int, version.split("."))))
    for package in sorted(packages):
        yield f"{package} (>= {'.'.join(map(str, newest))})" if package == "libc6" else package
    yield "systemd | systemd-standalone-sysusers | systemd-sysusers"
    yield "init-system-helpers (>= 1.54)"


def elf_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


# --- how it lies there


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def compress(content: bytes, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content, 9, mtime=0))


def settle(tree: Path, epoch: int) -> None:
    """The modes that a package has, whatever the umask of who builds it, and one time for all."""
    programs = {
        tree / PROGRAM / "openclawd",
        *(tree / "DEBIAN" / name for name in ("postinst", "prerm", "postrm")),
    }
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in programs else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def pack(tree: Path, into: Path, version: str, epoch: int) -> Path:
    file = into / f"openclawd_{version}_{ARCHITECTURES[platform.machine()]}.deb"
    into.mkdir(parents=True, exist_ok=True)
    # So many threads on every machine, as they decide how the compressed blocks are cut. A higher level takes
    # six times as long for a tenth less.
    how = ("--root-owner-group", "-Zxz", "-z2", "--threads-max=2", "--uniform-compression")
    subprocess.run(
        ("dpkg-deb", *how, "--build", tree, file),
        env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return file


if __name__ == "__main__":
    main()
