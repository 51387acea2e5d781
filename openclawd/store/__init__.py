"""Floor 1. State on disk: SQLite on one owner thread, behind a few small interfaces."""
