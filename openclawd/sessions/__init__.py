"""Floor 3. A task per session with its durable queue; runs; transcripts; slash commands."""
