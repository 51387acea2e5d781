"""What a gateway that serves says of itself in a line: for `systemctl status`, at any hour."""

from openclawd import __version__


def serving_words(
    *, port: int, bind: str, clients: int, generation: int, on_trial_from: str | None, problem: str | None
) -> str:
    """`listening on port 18789, loopback; 4 clients; openclawd 0.6.0, generation 3`, and what is unusual.

    `on_trial_from` is the version that comes back if this one is not well; `problem` why the restart that was
    last asked for was refused.
    """
    people = "1 client" if clients == 1 else f"{clients or 'no'} clients"
    said = f"listening on port {port}, {bind}; {people}; openclawd {__version__}, generation {generation}"
    if on_trial_from is not None:
        said += f"; on trial, or {on_trial_from} comes back"
    return said if problem is None else f"{said}; restart refused: {problem}"
