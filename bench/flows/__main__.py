"""Run one flow: `python -m bench.flows rate '{"port": 2775, "store": "build/store"}'`; prints JSON lines."""

import json
import logging
import sys
from importlib import import_module

import msgspec
import uvloop

from bench.flows.house import Job

if __name__ == "__main__":
    _, name, argument = sys.argv
    logging.getLogger("dispatcher").setLevel(logging.CRITICAL)  # that a carrier is down is meant
    job = msgspec.json.decode(argument, type=Job)
    print(json.dumps(uvloop.run(import_module(f"bench.flows.{name}").run(job))), flush=True)
