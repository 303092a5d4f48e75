"""Measurements. Each states its machine, date and command."""
