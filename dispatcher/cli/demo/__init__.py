"""``make demo``: three simulated carriers, the daemon, two clients; kill -9 in the middle; and the proof."""
