"""Tests: ext (compiled modules against slow twins), unit (values), and checks of the repository itself."""
