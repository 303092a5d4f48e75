"""The compiled modules against slow, obvious twins and outside vectors."""
