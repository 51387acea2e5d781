"""What the batteries share: real gateway processes, a plain wire client, device identities."""
