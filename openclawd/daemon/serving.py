"""What a gateway that serves says of itself in a line: for `systemctl status`, at any hour."""

from collections.abc import Sequence

from openclawd import __version__


def serving_words(
    *,
    port: int,
    bind: str,
    clients: int,
    generation: int,
    on_trial_from: str | None,
    problem: str | None,
    troubles: Sequence[str] = (),
) -> str:
    """`listening on port 18789, loopback; 4 clients; openclawd 0.6.0, generation 3`, and what is unusual.

    `on_trial_from` is the version that comes back if this one is not well; `problem` why the restart that was
    last asked for was refused; `troubles` what is wrong with the config and the state, in sentences.
    """
    people = "1 client" if clients == 1 else f"{clients or 'no'} clients"
    said = f"listening on port {port}, {bind}; {people}; openclawd {__version__}, generation {generation}"
    if on_trial_from is not None:
        said += f"; on trial, or {on_trial_from} comes back"
    if problem is not None and not any(problem in each for each in troubles):
        said += f"; restart refused: {problem}"
    return "; ".join((said, *troubles))
