"""Another token in the place of the one in the file, for a gateway that runs and for one that does not.

Only where the file decides which token there is: a token that was given when the gateway was started, or that
the file takes from the environment, is somebody else's to change.
"""

from collections.abc import Mapping

from openclawd.config.file import ConfigFile
from openclawd.config.settings import Flags, GatewaySettings

_PATH = ("gateway", "auth", "token")


class NotRotatable(Exception):
    """The token cannot be changed here. The text says why; `cure` says where it can."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.cure = cure


def rotate_token(file: ConfigFile, settings: GatewaySettings, flags: Flags | None = None) -> None:
    """Write a new token into the file; comments and layout stay. `settings` and `flags` are what the gateway
    goes by. Raises NotRotatable, ConfigError for a file that cannot be read, OSError.
    """
    if settings.auth_mode != "token":
        raise NotRotatable(
            f"The gateway asks for no token: its auth mode is {settings.auth_mode}.",
            "Another password: openclawd config set gateway.auth.password NEW"
            if settings.auth_mode == "password"
            else "To have it ask for one: openclawd config set gateway.auth.mode token",
        )
    if flags is not None and (flags.token is not None or flags.token_file is not None):
        flag = "--token" if flags.token is not None else "--token-file"
        raise NotRotatable(
            f"The token was given with {flag} when the gateway was started.",
            "Change the file that it names and run: openclawd gateway reload"
            if flags.token is None
            else "Start the gateway without it, and the config has the token: openclawd gateway",
        )
    # Imported here: most gateways never need it.
    from openclawd.config.edit import EditError

    try:
        file.edit(_with_new_token)
    except EditError as error:
        raise NotRotatable(str(error), "See: openclawd config validate") from error


def _with_new_token(text: str) -> str:
    from openclawd.config.edit import new_token, set_value
    from openclawd.config.reading import parse

    written = _at(parse(text), _PATH)
    if isinstance(written, Mapping) or (isinstance(written, str) and "${" in written):
        raise NotRotatable(
            "gateway.auth.token is taken from the environment.",
            "Change it there and start the gateway again, or: openclawd config unset gateway.auth.token",
        )
    return set_value(text, _PATH, new_token())


def _at(document: object, path: tuple[str, ...]) -> object:
    for step in path:
        document = document.get(step) if isinstance(document, Mapping) else None
    return document
