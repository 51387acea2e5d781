"""Floor 6. One port: HTTP on h11, the upgrade to trio-websocket, the page's files."""
