"""The frozen binary does what the source does, where there is neither Python nor the source."""

import json
import platform
import re
import shutil
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import trio

import openclawd
from openclawd.update.releases import is_newer
from scripts.releasing.archive import built
from tests.fake_provider import open_fake_provider
from tests.packaging import hidden
from tests.packaging.asking import asked, failed, pythons
from tests.packaging.frozen import ROOT, FrozenGateway, frozen_gateway
from tests.process.chats import MAIN, text_of
from tests.support.certificate import server_certificate
from tests.support.provider_process import KEY, MODEL

pytestmark = pytest.mark.binary

# The budgets of the idle gateway and of its start, three times: room for a busy machine, none for a leak.
MOST_RESIDENT_MB = 3 * 50
MOST_START_S = 3 * 0.5
# Debian 12's; what is built on a newer system runs only on those.
NEWEST_GLIBC = "2.36"


def provider_config(base_url: str) -> dict[str, Any]:
    models = [{"id": MODEL, "name": "Fake"}]
    provider = {"baseUrl": base_url, "apiKey": KEY, "api": "openai-completions", "models": models}
    return {
        "models": {"providers": {"fake": provider}},
        "agents": {"defaults": {"model": {"primary": f"fake/{MODEL}"}}},
    }


# --- what a user does


async def test_it_starts_answers_a_chat_and_stops_with_0(binary: Path) -> None:
    with frozen_gateway(binary) as gateway:
        final = await asked(gateway, "hello")
        assert final["sessionKey"] == MAIN
        assert text_of(final["message"])
        assert gateway.stop() == 0


async def test_it_asks_a_provider_over_http(binary: Path) -> None:
    async with open_fake_provider(key=KEY) as provider:
        with frozen_gateway(binary, provider_config(provider.base_url)) as gateway:
            final = await asked(gateway, "hello")
    assert text_of(final["message"]) == "You said: hello"


async def test_it_asks_a_provider_over_https(binary: Path, tmp_path: Path) -> None:
    context, certificate = server_certificate(tmp_path)
    async with open_fake_provider(key=KEY, ssl_context=context) as provider:
        config = provider_config(f"https://localhost:{provider.port}/v1")
        with frozen_gateway(binary, config, environment={"SSL_CERT_FILE": str(certificate)}) as gateway:
            final = await asked(gateway, "hello")
    assert text_of(final["message"]) == "You said: hello"


def test_the_page_is_inside_byte_for_byte(gateway: FrozenGateway) -> None:
    page = ROOT / "openclawd" / "control_ui"
    for file in sorted(path for path in page.rglob("*.*") if path.is_file()):
        with urlopen(f"{gateway.url}{file.relative_to(page)}", timeout=10) as answer:
            assert answer.read() == file.read_bytes()


def test_the_page_has_a_tag_that_saves_asking_again(gateway: FrozenGateway) -> None:
    with urlopen(gateway.url, timeout=10) as answer:
        tag = answer.headers["ETag"]
    with pytest.raises(HTTPError) as again:
        urlopen(Request(gateway.url, headers={"If-None-Match": tag}), timeout=10)
    again.value.close()
    assert again.value.code == 304


def test_its_commands_find_it_over_the_owners_socket(gateway: FrozenGateway) -> None:
    ended = gateway.command("health", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["ok"] is True


def test_a_link_to_it_starts_it(binary: Path, tmp_path: Path) -> None:
    link = tmp_path / "openclawd"
    link.symlink_to(binary)
    with frozen_gateway(link) as gateway:
        assert gateway.stop() == 0


def test_a_wrong_config_is_78_with_its_line(binary: Path) -> None:
    with frozen_gateway(binary, "{\n  gateway: { port: 'abc' }, // JSON5\n}", start=False) as gateway:
        ended = gateway.command("gateway")
    assert ended.returncode == 78
    assert 'line 2: gateway.port is "abc"' in ended.stderr


def test_the_version_is_the_sources_and_says_which_commit(gateway: FrozenGateway) -> None:
    said = gateway.command("--version").stdout
    # The plus: with changes that are in no commit.
    assert re.fullmatch(
        rf"openclawd {re.escape(openclawd.__version__)} \([0-9a-f]{{9}}\+?, \d{{4}}-\d\d-\d\d\)\n", said
    )


# --- what is inside


def test_every_module_of_ours_is_inside(installed: Path) -> None:
    source, inside = ROOT / "openclawd", installed / "_internal" / "openclawd"
    modules = {path.relative_to(source).with_suffix("") for path in source.rglob("*.py")}
    frozen = {path.relative_to(inside).with_suffix("") for path in inside.rglob("*.pyc")}
    assert frozen == modules


def test_nothing_that_ours_asks_for_was_left_out(installed: Path) -> None:
    missed = (ROOT / "build" / "work" / "openclawd" / "warn-openclawd.txt").read_text().splitlines()
    asked_for = [line for line in missed if re.search(r"imported by.*\bopenclawd\.", line)]
    assert asked_for == []


def test_its_own_licence_is_inside(installed: Path) -> None:
    assert (installed / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_nothing_of_this_folder_or_this_python_is_loaded(gateway: FrozenGateway) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc on this system")
    assert gateway.process is not None
    maps = Path(f"/proc/{gateway.process.pid}/maps").read_text()
    loaded = {line.split(maxsplit=5)[5] for line in maps.splitlines() if "/" in line}
    installed = str(Path(gateway.program[0]).parent)
    assert any(path.startswith(installed) and "libpython" in path for path in loaded)
    assert [path for path in loaded if "python" in path and not path.startswith(installed)] == []
    assert [path for path in loaded if path.startswith(str(ROOT))] == []


def test_it_is_ready_soon_and_small(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc on this system")
    took: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        with frozen_gateway(binary) as gateway:
            took.append(time.monotonic() - began)
            assert gateway.process is not None
            status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    resident_mb = int(re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[0]) / 1000
    with capsys.disabled():
        print(f"\nthe binary: ready in {min(took):.2f} s, {resident_mb:.0f} MB")
    assert min(took) < MOST_START_S
    assert resident_mb < MOST_RESIDENT_MB


def test_it_runs_on_systems_of_the_last_years(installed: Path) -> None:
    """None of its files needs a newer C library."""
    own = platform.libc_ver()
    if own[0] != "glibc" or is_newer(own[1], NEWEST_GLIBC):
        pytest.skip(f"a release is built with glibc {NEWEST_GLIBC} or older, not here: docs/building.md")
    needed = built(installed, openclawd.__version__).glibc
    assert needed is not None
    assert not is_newer(needed, NEWEST_GLIBC)


# --- on another machine


@pytest.fixture
def _can_hide() -> None:
    if hidden.why_not() is not None:
        pytest.skip(f"folders cannot be covered here: {hidden.why_not()}")


@pytest.mark.usefixtures("_can_hide")
async def test_it_runs_where_neither_python_nor_the_source_can_be_seen(binary: Path) -> None:
    covered = [ROOT, *pythons()]
    with frozen_gateway(hidden.without(covered, binary)) as gateway:
        assert text_of((await asked(gateway, "hello"))["message"])
        assert gateway.stop() == 0


def elsewhere(binary: Path, bundle: str) -> list[str]:
    """The binary on a system that keeps its authorities elsewhere; `bundle` is what sh does about that."""
    default = Path(ssl.get_default_verify_paths().openssl_cafile).parent
    return hidden.without(
        [each for each in (default, Path("/etc/ssl")) if each.is_dir()], binary, then=bundle
    )


@pytest.mark.usefixtures("_can_hide")
async def test_it_finds_the_authorities_of_another_system(binary: Path, tmp_path: Path) -> None:
    context, certificate = server_certificate(tmp_path)
    async with open_fake_provider(key=KEY, ssl_context=context) as provider:
        config = provider_config(f"https://localhost:{provider.port}/v1")
        with frozen_gateway(
            elsewhere(binary, f"/bin/cp {certificate} /etc/ssl/ca-bundle.pem"), config
        ) as gateway:
            final = await asked(gateway, "hello")
    assert text_of(final["message"]) == "You said: hello"


@pytest.mark.usefixtures("_can_hide")
async def test_without_any_authorities_of_the_system_it_has_its_own_and_trusts_no_stranger(
    binary: Path, tmp_path: Path
) -> None:
    context, _ = server_certificate(tmp_path)
    async with open_fake_provider(key=KEY, ssl_context=context) as provider:
        config = provider_config(f"https://localhost:{provider.port}/v1")
        with frozen_gateway(elsewhere(binary, ":"), config) as gateway:
            assert "its certificate is not trusted" in await failed(gateway, "hello")


# --- restarts


async def test_a_restart_runs_what_the_link_leads_to_now_in_the_same_process(
    installed: Path, tmp_path: Path
) -> None:
    shutil.copytree(installed, tmp_path / "2", symlinks=True)
    current = tmp_path / "current"
    current.symlink_to(installed)
    with frozen_gateway(current / "openclawd") as gateway:
        assert gateway.process is not None
        pid = gateway.process.pid
        current.unlink()
        current.symlink_to(tmp_path / "2")
        restarted = gateway.command("gateway", "restart", "--json")
        assert restarted.returncode == 0, restarted.stderr
        assert json.loads(restarted.stdout)["generation"] == 2
        assert str(await trio.Path(f"/proc/{pid}/exe").resolve()) == f"{tmp_path}/2/openclawd"
        assert text_of((await asked(gateway, "hello"))["message"])
        assert gateway.stop() == 0


def test_a_version_that_cannot_start_is_not_run(installed: Path, tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.symlink_to(installed)
    with frozen_gateway(current / "openclawd") as gateway:
        current.unlink()
        shutil.copytree(installed, current, symlinks=True)
        library = next((current / "_internal").glob("libpython*"))
        library.write_bytes(b"half an update")
        refused = gateway.command_of(installed / "openclawd", "gateway", "restart")
        assert refused.returncode == 1
        assert "libpython" in refused.stderr, refused.stderr
        assert gateway.command_of(installed / "openclawd", "health").returncode == 0
        assert gateway.stop() == 0
