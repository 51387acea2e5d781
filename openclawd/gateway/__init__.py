"""Floor 5. From connection to client: challenge, admission, one reader, one writer, the router."""
