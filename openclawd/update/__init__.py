"""Floor 7½. A new version: got, examined, switched to, judged, and gone back from where it is not well."""
