"""What the binary leaves out of the libraries is nothing that it uses (packaging/openclawd.spec)."""

import ast
import subprocess
import sys

from tests.packaging.frozen import ROOT

_DRAW = """
import sys

class LeftOut:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {left_out}:
            raise ModuleNotFoundError(f"left out of the binary: {name}", name=name)

sys.meta_path.insert(0, LeftOut())
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
import tuf.api.metadata, tuf.ngclient, securesystemslib.signer

columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
with Progress(*columns, console=Console(force_terminal=True)) as bar:
    bar.advance(bar.add_task("download", total=2), 1)
"""


def left_out() -> set[str]:
    """As the specification has it."""
    for node in ast.parse((ROOT / "packaging" / "openclawd.spec").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NEVER_RUN":
            return set(ast.literal_eval(node.value))
    raise AssertionError("no NEVER_RUN")


def test_a_download_is_drawn_and_trusted_without_it() -> None:
    script = _DRAW.replace("{left_out}", repr(left_out()))
    ended = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "0/2 bytes" in ended.stdout or "1/2 bytes" in ended.stdout
