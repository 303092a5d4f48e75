"""The dispatcher as a program embeds it, measured: a module a flow, each run in a process of its own."""
