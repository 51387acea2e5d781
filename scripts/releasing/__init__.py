"""The other side of `openclawd update`: a TUF repository as plain files, and the keys that sign it."""
