"""Whether somebody holds the gateway's secret, without its crossing any wire.

`openclawd doctor` asks so over the local socket before it presents a secret anywhere: one that is not the
gateway's would cost its source a try. The proof is a keyed hash (RFC 2104) over a word that is used once.
"""

import hashlib
import hmac

from openclawd.auth.credentials import SharedAuth
from openclawd.config.secret import Secret


def secret_proof(secret: Secret, nonce: str) -> str:
    """64 hex digits."""
    return hmac.new(_octets(secret.reveal()), _octets(nonce), hashlib.sha256).hexdigest()


def proves_secret(shared: SharedAuth, nonce: str, proof: str) -> bool:
    """Whether `proof` was made with the secret that the gateway asks for now."""
    secret = shared.configured
    return secret is not None and hmac.compare_digest(_octets(secret_proof(secret, nonce)), _octets(proof))


def _octets(text: str) -> bytes:
    # Lone surrogates (an environment variable that is not UTF-8) are part of a secret too.
    return text.encode("utf-8", "surrogatepass")
