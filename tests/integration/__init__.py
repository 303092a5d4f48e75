"""Real sockets, real loops."""
