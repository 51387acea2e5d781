"""Whether the secret that is known here is the one that the running gateway asks for."""

from typing import TYPE_CHECKING
from uuid import uuid4

from openclawd.auth.secret_proof import secret_proof

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc
    from openclawd.config.secret import Secret


async def is_right(rpc: "Rpc", secret: "Secret") -> bool:
    """Over the local socket; the secret itself crosses nothing. Raises Failure."""
    nonce = str(uuid4())
    params = {"nonce": nonce, "proof": secret_proof(secret, nonce)}
    answer = await rpc.ask("gateway.secret.check", params)
    return bool(answer.get("matches") is True)


def why_wrong(mode: str) -> tuple[str, str]:
    """What to say of one that is not, and what mends it."""
    said = f"the {mode} in the config here is not the one that the gateway asks for"
    return f"{said}: the config or the environment has changed since it started", "openclawd gateway reload"
