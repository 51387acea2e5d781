"""The program that a restart executes, and what it is told."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import openclawd
from openclawd.daemon.image import Image, become, environment_of, image_of


def test_a_link_in_the_path_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "1.0").mkdir()
    (tmp_path / "current").symlink_to("1.0")

    image = image_of(["current/openclawd", "gateway"], tmp_path, None)

    assert image == Image(f"{tmp_path}/current/openclawd", ("current/openclawd", "gateway"))


def test_a_bare_name_is_what_the_search_path_finds(tmp_path: Path) -> None:
    program = tmp_path / "openclawd"
    program.touch(0o700)

    assert image_of(["openclawd", "gateway"], Path("/"), str(tmp_path)).path == str(program)


@pytest.mark.parametrize(
    "words",
    [
        ["--token", "hush"],
        ["--token=hush"],
        ["--password", "hush"],
        ["--password=hush"],
        ["--token", "hush", "--password=hush"],
    ],
)
def test_words_that_hold_secrets_are_left_out(words: list[str]) -> None:
    image = image_of(["/bin/openclawd", "gateway", *words, "--port", "1"], Path("/"), None)

    assert image.words == ("/bin/openclawd", "gateway", "--port", "1")


@pytest.mark.parametrize("words", [["--token-file", "t"], ["--password-file=t"]])
def test_a_file_of_a_secret_is_named_again(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "t").touch()

    image = image_of(["/bin/openclawd", "gateway", *words], tmp_path, None)

    assert image.words[2:] == tuple(words)


@pytest.mark.parametrize("words", [["--token-file", "p"], ["--token-file=p"]])
def test_a_pipe_that_a_secret_was_read_from_is_not(tmp_path: Path, words: list[str]) -> None:
    os.mkfifo(tmp_path / "p")

    image = image_of(["/bin/openclawd", "gateway", *words, "--verbose"], tmp_path, None)

    assert image.words[2:] == ("--verbose",)


def test_the_same_program_is_asked_whether_it_could_start_with_the_same_words() -> None:
    words = ("python", "-m", "openclawd", "gateway", "--port", "1", "run", "--verbose")

    assert Image("/bin/python", words).checking() == (
        "/bin/python",
        "-m",
        "openclawd",
        "gateway",
        "--port",
        "1",
        "--verbose",
        "check",
    )


def test_where_nothing_can_be_executed_no_descriptor_stays_inheritable() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="No such file"):
            become([Image("/nowhere/openclawd", ("openclawd",))] * 2, {}, [reader, writer])

        assert not os.get_inheritable(reader)
        assert not os.get_inheritable(writer)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_frozen_program_is_started_as_if_it_had_not_been_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    around = environment_of({"LD_LIBRARY_PATH": "/unpacked", "LD_LIBRARY_PATH_ORIG": "/own", "A": "1"})

    assert around == {"LD_LIBRARY_PATH": "/own", "PYINSTALLER_RESET_ENVIRONMENT": "1", "A": "1"}


_STARTING = {
    *(f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")),
    "trio.run_process",
    "trio.lowlevel.open_process",
}


def test_every_program_that_is_started_is_told_its_environment() -> None:
    """A frozen program's own names the folder of its libraries (environment_of)."""
    calls = [
        (f"{file}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for file in Path(openclawd.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _STARTING
    ]
    assert calls
    assert [where for where, told in calls if "env" not in told] == []


def test_the_old_program_can_be_executed_even_when_its_link_leads_elsewhere(tmp_path: Path) -> None:
    # As `current` may, between the check and the execution.
    (tmp_path / "current").symlink_to(sys.executable)
    script = (
        "import sys\n"
        "from openclawd.daemon.image import Image, become, old_image\n"
        f"link = {str(tmp_path / 'current')!r}\n"
        "if len(sys.argv) > 1: print('again'); sys.exit()\n"
        "import os; os.unlink(link)\n"
        "image = Image(link, (sys.orig_argv[0], *sys.orig_argv[1:], 'again'))\n"
        "become([image, old_image(image)], dict(os.environ), [])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )

    assert (ended.stdout, ended.stderr) == ("again\n", "")
