"""What an operator wants of a carrier: on, paused, draining. Only he ends it; it stands in the journal.

It is one more reason not to send, beside those of health and pool, so that each of them may come and go.
"""

import logging

from dispatcher.carrier.desk import Switch
from dispatcher.carrier.lane import Lane
from dispatcher.convert import did_you_mean
from dispatcher.errors import ConfigError, OverloadedError
from dispatcher.pipeline import Pipeline
from dispatcher.recovery import switch_key

log = logging.getLogger("dispatcher.pipeline")


async def turn(pipeline: Pipeline, carrier: str, switch: Switch) -> None:
    """Turn the switch of a carrier: at once, and durably on return. ConfigError: there is no such carrier."""
    lanes = {lane.name: lane for lane in pipeline.lanes.values()}
    if carrier not in lanes:
        raise ConfigError(f"no carrier has this name{did_you_mean(carrier, lanes)}")
    await turn_lane(pipeline, lanes[carrier], switch)


async def turn_lane(pipeline: Pipeline, lane: Lane, switch: Switch) -> None:
    """The same; also of a carrier that is leaving."""
    if lane.switch is switch:
        return
    log.warning("%s: an operator says %s", lane.name, switch.name.lower(), extra={"carrier": lane.name})
    lane.switch = switch
    pipeline.aftermath.tick()
    try:
        await pipeline.journal.note(switch_key(lane.number), switch)
    except OverloadedError:
        log.error("the disk is full: after a restart %s is as it was before", lane.name)


def states(pipeline: Pipeline) -> dict[str, str]:
    """Return of each carrier what is wanted of it: on, paused, draining, drained; or leaving."""
    found = {lane.name: lane.state for lane in pipeline.lanes.values()}
    return found | {lane.name: "leaving" for lane in pipeline.leaving.values()}
