"""Floor 8. The `openclawd` command: parse, call, print."""
