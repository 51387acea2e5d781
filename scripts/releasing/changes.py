"""What a draft says otherwise than what is public: what people sign when they sign it."""

import json

from tuf.api.metadata import Root, Targets

from scripts.releasing.archives import sha256


def changes(new: Root | Targets, old: Root | Targets | None) -> list[str]:
    """Line by line, what goes before what comes; not its version and its expiry, which change each time."""
    says, said = _lines(new), _lines(old) if old is not None else set()
    return [f"- {line}" for line in sorted(said - says)] + [f"+ {line}" for line in sorted(says - said)]


def _lines(signed: Root | Targets) -> set[str]:
    if isinstance(signed, Targets):
        return {
            f"{path} {sha256(target)} {json.dumps(target.custom, sort_keys=True, ensure_ascii=False)}"
            for path, target in signed.targets.items()
        }
    keys = {f"{name} key {key_id}" for name, role in signed.roles.items() for key_id in role.keyids}
    return keys | {f"{name} threshold {role.threshold}" for name, role in signed.roles.items()}
