"""Whether and when a message may go: one check a file, pure."""
