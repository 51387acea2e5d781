"""A new version: got, examined, judged, kept or sent back."""
