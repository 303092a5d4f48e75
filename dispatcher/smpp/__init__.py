"""SMPP 3.4: constants, statuses, times, addresses, sessions; knows nothing of messages or policy."""
