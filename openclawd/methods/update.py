"""Updates: there is no updater yet, and every answer says so."""

from openclawd.auth.scopes import ADMIN
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params

UPDATE = MethodTable()


@params
class UpdateStatusParams:
    """`update.status`; what it asks to refresh is a checkout of stock's, which this gateway is not."""

    refresh_checkout: bool | None = None


@UPDATE.add("update.status", scope=ADMIN, params=UpdateStatusParams)
def update_status(_call: Call, _params: UpdateStatusParams) -> object:
    """Nobody looks for a newer version, none was installed, and nothing is planned."""
    return {"sentinel": None, "updateAvailable": None}
