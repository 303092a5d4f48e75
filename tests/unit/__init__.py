"""Values in, values out: no socket, no sleep."""
