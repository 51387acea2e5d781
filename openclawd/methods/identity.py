"""`gateway.identity.get`: the gateway's own public key, for who binds something to it (a push relay)."""

import trio

from openclawd.auth.identity import IdentityUnusable
from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.protocol.errors import unavailable

IDENTITY = MethodTable()


@IDENTITY.add("gateway.identity.get", scope=READ, params=NoParams)
async def gateway_identity_get(call: Call, _params: NoParams) -> object:
    """`{deviceId, publicKey}`, the same for ever; the key is made at the first call."""
    try:
        identity = await trio.to_thread.run_sync(call.services.identity.get)
    except IdentityUnusable as error:
        raise unavailable(str(error)) from error
    return {"deviceId": identity.device_id, "publicKey": identity.public_key}
