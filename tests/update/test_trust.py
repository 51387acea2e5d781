"""Whom a new version is believed, and who may say so."""

import os
from pathlib import Path

import pytest

from openclawd.config.model import Config, HttpUrl, Own, OwnUpdate, Text
from openclawd.slots.layout import Installation
from openclawd.update.staged import CannotUpdate
from openclawd.update.trust import trust_of


@pytest.fixture
def built_in(tmp_path: Path) -> Path:
    folder = tmp_path / "built-in"
    folder.mkdir()
    (folder / "root.json").write_bytes(b"built in")
    (folder / "source.json").write_text('{"urls": ["https://built.in/openclawd"]}')
    return folder


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    (tmp_path / "installation").mkdir()
    return Installation(tmp_path / "installation")


def config(*urls: str, root: Path | str | None = None) -> Config:
    own = OwnUpdate(
        urls=tuple(HttpUrl(each) for each in urls), root=Text(str(root)) if root is not None else None
    )
    return Config(openclawd=Own(update=own))


def owned(file: Path, mode: int = 0o644) -> Path:
    file.write_bytes(b"own")
    file.chmod(mode)
    return file


def test_what_the_program_was_built_with_holds(
    installation: Installation, built_in: Path, tmp_path: Path
) -> None:
    trust = trust_of(installation, config(), tmp_path / "none", built_in=built_in)
    assert (trust.root, trust.urls) == (b"built in", ("https://built.in/openclawd",))


def test_mirrors_by_config_are_asked_in_their_order(
    installation: Installation, built_in: Path, tmp_path: Path
) -> None:
    trust = trust_of(installation, config("https://a/", "http://b/"), tmp_path / "none", built_in=built_in)
    assert (trust.root, trust.urls) == (b"built in", ("https://a/", "http://b/"))


def test_a_root_of_ones_own_takes_the_place_of_the_built_in_one(
    installation: Installation, built_in: Path, tmp_path: Path
) -> None:
    root, file = owned(tmp_path / "own.json"), owned(tmp_path / "openclaw.json")
    assert trust_of(installation, config(root=root), file, built_in=built_in).root == b"own"


@pytest.mark.parametrize("which", ["own.json", "openclaw.json"])
def test_a_root_that_others_could_have_chosen_does_not_count(
    installation: Installation, built_in: Path, tmp_path: Path, which: str
) -> None:
    root, file = owned(tmp_path / "own.json"), owned(tmp_path / "openclaw.json")
    (tmp_path / which).chmod(0o666)
    with pytest.raises(CannotUpdate, match="does not count") as refused:
        trust_of(installation, config(root=root), file, built_in=built_in)
    assert refused.value.cure == f"chmod go-w {tmp_path / which}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_user_of_a_service_does_not_choose_what_root_runs(
    installation: Installation, built_in: Path, tmp_path: Path
) -> None:
    root, file = owned(tmp_path / "own.json"), owned(tmp_path / "openclaw.json")
    os.chown(file, 65534, 65534)
    with pytest.raises(CannotUpdate, match="does not count") as refused:
        trust_of(installation, config(root=root), file, built_in=built_in)
    assert refused.value.cure is not None
    assert refused.value.cure.endswith(str(installation.root / "trust" / "root.json"))


def test_what_lies_in_the_installation_counts_before_what_was_built_in(
    installation: Installation, built_in: Path, tmp_path: Path
) -> None:
    folder = installation.root / "trust"
    folder.mkdir()
    (folder / "root.json").write_bytes(b"of the installation")
    (folder / "source.json").write_text('{"urls": ["https://in.house"]}')
    trust = trust_of(installation, config(), tmp_path / "none", built_in=built_in)
    assert (trust.root, trust.urls) == (b"of the installation", ("https://in.house",))


def test_a_program_without_an_installation_goes_by_its_users_config(built_in: Path, tmp_path: Path) -> None:
    root = owned(tmp_path / "own.json", 0o666)
    assert trust_of(None, config(root=root), tmp_path / "none", built_in=built_in).root == b"own"


def test_a_program_that_was_built_without_keys_says_so(installation: Installation, tmp_path: Path) -> None:
    with pytest.raises(CannotUpdate, match="built without the keys"):
        trust_of(installation, config(), tmp_path / "none", built_in=tmp_path)


def test_what_helps_where_the_root_is_none_depends_on_whose_it_is(
    installation: Installation, built_in: Path, tmp_path: Path
) -> None:
    def cure(**root: Path) -> str:
        return trust_of(installation, config(**root), tmp_path / "none", built_in=built_in).cure

    assert cure() == "openclawd config set openclawd.update.root FILE"
    assert cure(root=owned(tmp_path / "own.json")) == "openclawd config unset openclawd.update.root"
    (installation.root / "trust").mkdir()
    in_place = owned(installation.root / "trust" / "root.json")
    assert cure() == f"sudo install -D -m 644 root.json {in_place}"


def test_a_root_that_is_not_there_is_named(
    installation: Installation, built_in: Path, tmp_path: Path
) -> None:
    with pytest.raises(CannotUpdate, match=r"there is no .*/nothing\.json"):
        trust_of(installation, config(root=tmp_path / "nothing.json"), tmp_path / "none", built_in=built_in)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"urls": "https://a"}', '{"urls": ["file:///x"]}'])
def test_a_source_file_that_says_something_else_is_named(
    installation: Installation, built_in: Path, tmp_path: Path, text: str
) -> None:
    (built_in / "source.json").write_text(text)
    with pytest.raises(CannotUpdate, match=r"source\.json is not like"):
        trust_of(installation, config(), tmp_path / "none", built_in=built_in)
