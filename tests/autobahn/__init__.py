"""The WebSocket under Autobahn's fuzzing client, which knows RFC 6455 by heart."""
