"""Floor 0. The wire, sans-I/O: frames, connect, hello, errors, close codes, versions, codec."""
