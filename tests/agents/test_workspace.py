"""Only what stands in the workspace is read."""

import os
from pathlib import Path

import pytest

from openclawd.agents.roster import roster
from openclawd.agents.workspace import MAX_FILE_BYTES, FileTooLarge, UnsafeFile, look_at, open_below, read
from openclawd.config.load import load_text
from openclawd.config.paths import Paths

STATE = Path("/state")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (tmp_path / "secret.md").write_text("outside")
    return folder


def test_a_file_has_its_size_its_time_and_its_text(workspace: Path) -> None:
    (workspace / "SOUL.md").write_bytes("be kind é".encode() + b"\xff")
    os.utime(workspace / "SOUL.md", ns=(0, 1_700_000_000_123_456_789))
    assert look_at(workspace, "SOUL.md").to_wire() == {
        "name": "SOUL.md",
        "path": str(workspace / "SOUL.md"),
        "missing": False,
        "size": 11,
        "updatedAtMs": 1_700_000_000_123,
    }
    assert read(workspace, "SOUL.md").content == "be kind é\ufffd"


def test_a_file_or_a_workspace_that_is_not_there_is_missing(workspace: Path) -> None:
    for folder in (workspace, workspace / "none"):
        wire = {"name": "USER.md", "path": str(folder / "USER.md"), "missing": True}
        assert look_at(folder, "USER.md").to_wire() == wire
        assert read(folder, "USER.md").to_wire() == wire


def test_a_link_within_the_workspace_is_followed(workspace: Path) -> None:
    (workspace / "real.md").write_text("inside")
    (workspace / "USER.md").symlink_to("real.md")
    assert read(workspace, "USER.md").content == "inside"


def test_the_workspace_itself_may_be_a_link(workspace: Path, tmp_path: Path) -> None:
    (workspace / "USER.md").write_text("inside")
    (tmp_path / "link").symlink_to(workspace)
    assert read(tmp_path / "link", "USER.md").content == "inside"


@pytest.mark.parametrize("target", ["../secret.md", "/etc/hostname", "../workspace-of-another/USER.md"])
def test_a_link_that_leads_out_is_not_followed(workspace: Path, target: str) -> None:
    (workspace / "USER.md").symlink_to(target)
    with pytest.raises(UnsafeFile):
        read(workspace, "USER.md")
    assert look_at(workspace, "USER.md").missing


def test_a_link_that_is_put_in_the_way_later_is_not_followed(workspace: Path) -> None:
    (workspace / "notes").mkdir()
    (workspace / "notes" / "secret.md").write_text("inside")
    os.close(open_below(workspace, ("notes", "secret.md")))
    (workspace / "notes").rename(workspace / "moved")
    (workspace / "notes").symlink_to("..")
    with pytest.raises(NotADirectoryError):
        open_below(workspace, ("notes", "secret.md"))


def test_a_loop_a_folder_and_a_pipe_are_no_files(workspace: Path) -> None:
    (workspace / "USER.md").symlink_to("USER.md")
    (workspace / "SOUL.md").mkdir()
    os.mkfifo(workspace / "TOOLS.md")
    for name in ("USER.md", "SOUL.md", "TOOLS.md"):
        with pytest.raises(UnsafeFile):
            read(workspace, name)
        assert look_at(workspace, name).missing


def test_a_file_that_is_too_long_is_not_read(workspace: Path) -> None:
    (workspace / "USER.md").write_bytes(b"x" * MAX_FILE_BYTES)
    assert len(read(workspace, "USER.md").content or "") == MAX_FILE_BYTES
    (workspace / "USER.md").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(FileTooLarge):
        read(workspace, "USER.md")
    assert look_at(workspace, "USER.md").size == MAX_FILE_BYTES + 1


@pytest.mark.parametrize(
    ("config", "folders"),
    [
        ("{}", {"main": "/state/workspace"}),
        ("{agents: {defaults: {workspace: '/w'}}}", {"main": "/w"}),
        (
            "{agents: {defaults: {workspace: '~nobody-has-this-name/w'}}}",
            {"main": f"{Path.cwd()}/~nobody-has-this-name/w"},
        ),
        (
            """{agents: {defaults: {workspace: '/w'},
                list: [{id: 'a'}, {id: 'b', default: true}, {id: 'c', workspace: '/c'}]}}""",
            {"b": "/w", "a": "/state/workspace-a", "c": "/c"},
        ),
    ],
)
def test_every_agent_has_a_workspace_of_its_own(config: str, folders: dict[str, str]) -> None:
    loaded = load_text(Paths(STATE, STATE / "openclaw.json"), config, {})
    agents = roster(loaded.config, STATE).all
    assert {agent.agent_id: str(agent.workspace) for agent in agents} == folders
    assert next(iter(folders)) == agents[0].agent_id
