"""Who was let in lately, who was not, and why; and whether a command holds the right secret."""

import attrs

from openclawd.auth.admission import LOCAL_SOCKET
from openclawd.auth.scopes import ADMIN
from openclawd.auth.secret_proof import proves_secret
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.vitals.decisions import DECISIONS_KEPT

ADMISSIONS = MethodTable()


@params
class GatewayAdmissionsParams:
    """`limit`: how many of the last decisions."""

    limit: int = attrs.field(default=50, metadata={"minimum": 1, "maximum": DECISIONS_KEPT})


@ADMISSIONS.add("gateway.admissions", scope=ADMIN, params=GatewayAdmissionsParams)
def gateway_admissions(call: Call, params: GatewayAdmissionsParams) -> object:
    """`{ts, counts, recent}`: all decisions since the start by kind, and the last ones, newest first."""
    decisions = call.services.decisions
    counts = [{**attrs.asdict(kind), "count": count} for kind, count in decisions.counts.most_common()]
    return {"ts": call.services.now_ms(), "counts": counts, "recent": decisions.latest(params.limit)}


@params
class GatewaySecretCheckParams:
    """`gateway.secret.check`: the proof of auth/secret_proof.py over `nonce`."""

    nonce: NonEmptyStr = attrs.field(metadata={"max_length": 128})
    proof: NonEmptyStr = attrs.field(metadata={"max_length": 128})


@ADMISSIONS.add("gateway.secret.check", scope=ADMIN, params=GatewaySecretCheckParams)
def gateway_secret_check(call: Call, params: GatewaySecretCheckParams) -> object:
    """`{matches}`: whether the caller holds the secret that the gateway asks for now.

    On the local socket only, where the owner could read it anyway: nobody else may guess here for nothing.
    """
    if call.caller.credential != LOCAL_SOCKET:
        raise invalid_request("gateway.secret.check is for the local socket")
    return {"matches": proves_secret(call.services.shared_auth(), params.nonce, params.proof)}
