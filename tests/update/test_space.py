"""Room is looked for before anything is begun."""

import shutil
from pathlib import Path

import pytest

from openclawd.update.space import require_space
from openclawd.update.staged import CannotUpdate


def test_more_than_is_free_is_refused_with_both_numbers(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(CannotUpdate, match=r"it needs \d+ MB in .*, and \d+ MB are free") as refused:
        require_space(tmp_path, free, 1)
    assert refused.value.cure is not None
    assert str(tmp_path) in refused.value.cure


def test_what_others_write_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(CannotUpdate):
        require_space(tmp_path, 0, free - 1024)


def test_a_small_thing_fits(tmp_path: Path) -> None:
    require_space(tmp_path, 1, 1)
