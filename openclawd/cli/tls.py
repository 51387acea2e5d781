"""TLS as a command speaks it: whom it trusts, and what it says when it does not.

This machine's gateway is known by its very certificate, whoever signed it; so is one elsewhere whose
fingerprint was given. Otherwise the system's authorities decide. Nothing is sent before that is settled.
"""

import os
import ssl
from typing import TYPE_CHECKING, Final

import trio

from openclawd.cli.failure import Failure
from openclawd.cli.pin import plain
from openclawd.daemon.certificate_files import fingerprint_of

if TYPE_CHECKING:
    from openclawd.cli.target import Endpoint

MISMATCH: Final = "TLS_FINGERPRINT_MISMATCH"


async def encrypted(transport: trio.SocketStream, endpoint: "Endpoint") -> trio.SSLStream[trio.SocketStream]:
    """TLS over `transport` with the gateway that is meant. Raises Failure."""
    context = _pinning_context() if endpoint.pin is not None else _system_context()
    stream = trio.SSLStream(transport, context, server_hostname=endpoint.host, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise _failure(endpoint, error.__cause__) from error
    if endpoint.pin is not None:
        shown = fingerprint_of(stream.getpeercert(binary_form=True))
        if plain(shown) != endpoint.pin.sha256:
            raise Failure(
                f"The gateway at {endpoint.name} shows another certificate than the one told by"
                f" {endpoint.pin.told_by}: its SHA-256 is {shown}. Nothing was sent to it.",
                cure=endpoint.pin.cure,
                code=MISMATCH,
            )
    return stream


def _pinning_context() -> ssl.SSLContext:
    """Takes any certificate, as it is looked at afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _system_context() -> ssl.SSLContext:
    from openclawd.agents.certificates import client_context

    return client_context(os.environ)


def _failure(endpoint: "Endpoint", cause: BaseException | None) -> Failure:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failure(
            f"This system does not trust the certificate of {endpoint.name}: {cause.verify_message}.",
            cure="If it is the gateway's own, `openclawd gateway status` on its machine tells the fingerprint"
            " for --tls-fingerprint.",
        )
    if isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        plain_url = endpoint.name.replace("wss://", "ws://", 1)
        return Failure(f"{endpoint.name} does not speak TLS.", cure=f"Without: --url {plain_url}")
    said = getattr(cause, "reason", None) or "it closed the connection"
    return Failure(
        f"TLS with {endpoint.name} failed: {said}.", cure="Its reasons are in its log: openclawd logs"
    )
