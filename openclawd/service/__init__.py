"""openclawd as a service: what systemd and launchd are told, and telling them."""
