"""Floor 2. Who may come in: the admission pipeline, devices and pairing, scopes, origins."""
