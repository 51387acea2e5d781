"""openclawd: the OpenClaw Gateway as a small, fast, supervised system daemon."""

__version__ = "0.1.0"
