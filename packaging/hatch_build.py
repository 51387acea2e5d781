"""Put the manual page, where pip looks for one, and the root of trust into the wheel; and which commit it is
into the sdist, from which the wheel is made (see pyproject.toml).

The page is written from the parser while the wheel is built, from a checkout as from an sdist.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPage(BuildHookInterface):  # type: ignore[misc]  # the tests' environment has no hatchling
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if self.target_name == "sdist":
            told = Path(self.root) / "build" / "build.json"  # packaging/commit.py
            if told.exists():
                build_data["force_include"][str(told)] = "openclawd/build.json"
            return
        page = self._page
        page.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run((sys.executable, "-P", Path(self.root) / "packaging" / "manual.py", page), check=True)
        build_data["shared_data"][str(page)] = "share/man/man1/openclawd.1"
        # Whom `update check` believes (docs/releasing.md); none until there are keys.
        for file in sorted((Path(self.root) / "packaging" / "update").glob("*.json")):
            build_data["force_include"][str(file)] = f"openclawd/update/{file.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        self._page.unlink(missing_ok=True)

    @property
    def _page(self) -> Path:
        return Path(self.directory) / "openclawd.1.new"
