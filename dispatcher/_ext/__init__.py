"""Nothing but the compiled modules and their stubs; the sources stand in ``ext/``."""
