"""`config.get`: the config as it is on disk and as it was understood, without its secrets."""

from openclawd.auth.scopes import READ
from openclawd.config.redact import config_get_result
from openclawd.methods.method import Call, MethodTable, NoParams

CONFIG = MethodTable()


@CONFIG.add("config.get", scope=READ, params=NoParams)
def config_get(call: Call, _params: NoParams) -> object:
    """Stock's shape; `hash` is of the file's text, so that an editor can tell whether it has changed."""
    return config_get_result(call.services.loaded)
