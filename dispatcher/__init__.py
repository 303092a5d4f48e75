"""Dispatcher: a self-hosted SMS dispatcher for banks and other large senders.

``import dispatcher`` loads nothing but this file. The encoder library is :mod:`dispatcher.encoding`.
"""

__version__ = "0.1.0"
