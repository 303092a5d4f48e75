"""Be a side that is written in Python: `python -m bench.clients MODULE PORT SYSTEM_ID BINDS ...`."""

import json
import sys
from importlib import import_module

from bench.clients.face import Job

if __name__ == "__main__":
    _, name, *arguments = sys.argv
    print(json.dumps(import_module(f"bench.clients.{name}").flood(Job.parse(arguments))._asdict()))
