"""The benchmark behind scripts/bench: every budget of the gateway, measured from outside.

The gateway is a process of its own; its clients are raw sockets in this process. Nothing here is part of the
gateway, and the gateway knows nothing of it.
"""
