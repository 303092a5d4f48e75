"""Differential tests against other people's encoders, and tests of bench/."""
