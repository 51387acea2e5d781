"""Floor 4. The RPC families, one module each; handlers small enough to read at a glance."""
