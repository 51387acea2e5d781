"""Floor 7. The process: lock, sockets, signals, log, and the putting together of the house."""
