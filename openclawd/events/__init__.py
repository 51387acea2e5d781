"""Floor 2. The hub: an event is encoded once a wire generation and offered to every outbox."""
