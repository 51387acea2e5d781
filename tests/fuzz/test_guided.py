"""Each target under atheris for a while, from the inputs of the corpus on (--fuzz-seconds for how long)."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.fuzz

ROOT = Path(__file__).parents[2]
# Larger inputs are slower and reach no further: the limits of sizes have tests of their own.
MAX_BYTES = 4096
# One input takes milliseconds; this is a hang.
HANG_S = 20
# For the last input, and for imports under instrumentation.
GRACE_S = 60


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris does not install here")
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_what_the_target_promises(
    target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seconds = request.config.getoption("--fuzz-seconds")
    found = tmp_path / "found"
    found.mkdir()
    ended = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "tests.fuzz.guided",
                target,
                found,
                ROOT / "tests" / "fuzz" / "corpus" / target,
            ),
            *(f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", f"-timeout={HANG_S}"),
            f"-artifact_prefix={tmp_path}/{target}-",
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds + GRACE_S,
        check=False,
    )
    said = ended.stdout.decode(errors="replace")
    broken = [file.read_bytes() for file in tmp_path.glob(f"{target}-*")]
    assert ended.returncode == 0, f"{broken}\n{said[-4000:]}"
    assert "Done" in said
