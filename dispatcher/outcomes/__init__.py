"""Outcomes out: webhooks, callbacks of messages, files of events; none of them is ever waited for."""
