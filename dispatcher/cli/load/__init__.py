"""The dispatcher under load, as `dispatcher bench` and bench/ measure it: processes, meters, report, page."""
