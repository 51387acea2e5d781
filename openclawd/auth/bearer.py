"""The shared secret over HTTP: `Authorization: Bearer`, judged as on the WebSocket and charged with it."""

import attrs

from openclawd.auth.charges import Charge, Till
from openclawd.auth.credentials import Judgement, judge_at_once, judge_guess
from openclawd.auth.locality import Peer
from openclawd.auth.policy import Policy
from openclawd.auth.trusted_proxy import TRUSTED_PROXY, identify


@attrs.frozen(eq=False, repr=False)
class BearerVerdict:
    """Whether the request may be served, by which `credential`, or why not (`reason`, the wire's word).

    The answer waits for `answer_after_ms`, right or wrong alike; with a `retry_after_ms` above zero nothing
    was examined.
    """

    ok: bool
    credential: str = "none"
    reason: str = ""
    charge: Charge | None = None

    @property
    def answer_after_ms(self) -> int:
        """From the decision on."""
        return self.charge.verdict.delay_ms if self.charge is not None else 0

    @property
    def retry_after_ms(self) -> int:
        """When the source has a try again; 0 unless it has none."""
        return self.charge.verdict.retry_after_ms if self.charge is not None else 0

    def log_fields(self) -> dict[str, object]:
        """Reason, source and limit, for the line of the request."""
        charged = self.charge.log_fields() if self.charge is not None else {}
        fields = {"reason": self.reason} | charged if self.reason else charged
        return fields | {"retryAfterMs": self.retry_after_ms} if self.retry_after_ms else fields


def judge_bearer(peer: Peer, credential: str | None, policy: Policy, till: Till) -> BearerVerdict:
    """The verdict on one request. The local socket's owner needs no credential."""
    if policy.is_owner(peer):
        return BearerVerdict(ok=True, credential="local-socket")
    if policy.shared.mode == TRUSTED_PROXY:
        verdict = identify(peer, policy.trusted_proxy, policy.trusted_proxies)
        judgement = Judgement(verdict.failure, TRUSTED_PROXY)
    elif policy.shared.mode == "none" and not policy.locate(peer).is_local:
        # Where there is no secret, what a proxy passes on is not the owner's for that alone.
        judgement = Judgement("unauthorized")
    else:
        judgement = judge_at_once(policy.shared, credential) or judge_guess(policy.shared, credential, till)
    failure = judgement.failure
    return BearerVerdict(failure is None, judgement.credential, failure or "", judgement.charge)
