"""What was worth keeping: inputs that reach far, and those that once went wrong."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")


@pytest.mark.parametrize(
    "file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}"
)
def test_an_input_that_was_kept_is_taken_as_promised(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())


def test_every_target_has_inputs_to_begin_with() -> None:
    assert {folder.name for folder in CORPUS.iterdir() if any(folder.iterdir())} == TARGETS.keys()
