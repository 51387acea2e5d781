"""What users install: the frozen binary, and the files that make it a service."""
