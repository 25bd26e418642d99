"""How a person talks to the daemon: frames, verbs, server, client."""
