"""Carriers: what each wants (profile), when it is tried again (retry), and what drives it."""
