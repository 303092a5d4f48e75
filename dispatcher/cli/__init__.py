"""One file a command. Heavy imports stand inside the commands, so that `dispatcher --help` is quick."""
