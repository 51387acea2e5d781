"""Floor 1. The typed config over JSON5, its paths, its secrets and the one edit we make to it."""
