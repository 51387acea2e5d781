"""Floor 2. How the gateway is: presence, health, uptime."""
