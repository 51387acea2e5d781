"""Floor 3. The models behind the chat: provider adapters, the catalog, the built-in offline model."""
