"""Where messages come in: each kind of sender has its file, and is given `accept`."""
