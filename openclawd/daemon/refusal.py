"""Why the gateway did not start, in words that end in what helps."""

from openclawd.daemon.exit_codes import ExitCode


class StartRefused(Exception):
    """Nothing was changed and nothing is running; the process ends with `exit_code`."""

    def __init__(self, exit_code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code
