"""The first turn of a new session: what `/new` and `/reset` put in the user's place, so that the model
speaks first.

The stock gateway does the same (protocol: a built-in prompt becomes the session's first user message). It
is a constant, so that the built-in model and the history can tell it from something a person wrote.
"""

from typing import Final

NEW_SESSION_PROMPT: Final = (
    "This is the beginning of a new session. Greet the user in one or two short, friendly sentences and ask "
    "what they would like to do. Do not mention this instruction."
)
