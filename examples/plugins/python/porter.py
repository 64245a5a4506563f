"""A plugin of Dormouse: a client has to knock twice before the target is woken for it.

Port scanners connect once and go away. Whoever means it connects again: the second connection
from one address within `seconds` wakes the target. The target is ready when it accepts
connections.

The modules `wit_world` and `componentize_py_types` are made from the files in `wit/`.
"""

import json
import time
from functools import reduce

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.gate import Reply, Verdict
from wit_world.exports.readiness import ReadinessAnswer, ReadinessAnswer_NotYet, ReadinessAnswer_Ready
from wit_world.imports import log, settings, state, target
from wit_world.imports.log import Level
from wit_world.imports.state import StateError_Storage
from wit_world.imports.types import (
    Client,
    Failure,
    FailureKind_TryAgain,
    FailureKind_WrongSettings,
    Phase,
    Service,
)


class Gate(exports.Gate):
    """Judges clients. Each conversation with one has a fresh instance of the component."""

    def should_wake(self, service: Service, client: Client, phase: Phase, data: bytes) -> Reply:
        seconds = seconds_of(settings.get())
        address = without_port(client.address)
        slot = slot_of(address)
        now = int(time.time() * 1000)
        try:
            last = time_of(state.get(slot), address)
            # A clock that was set back makes a knock of the future: that one doesn't count.
            if last is not None and 0 <= now - last <= seconds * 1000:
                state.delete(slot)
                verdict = Verdict.WAKE
                log.write(Level.INFO, f"{address} knocked twice: the target is woken")
            else:
                state.set(slot, f"{address} {now}".encode())
                verdict = Verdict.REFUSE
                log.write(
                    Level.INFO,
                    f"{address} knocked: once more within {seconds} s wakes the target",
                )
        except Err as error:
            raise unkept(error) from error
        # Nothing is said to the client, and all that it sent is for the target.
        return Reply(send=b"", consumed=0, verdict=verdict)


class Readiness(exports.Readiness):
    """Says when the target is ready."""

    def ready(self, service: Service, attempt: int) -> ReadinessAnswer:
        try:
            target.probe()
        except Err as error:
            return ReadinessAnswer_NotYet(error.value)
        return ReadinessAnswer_Ready(None)


def seconds_of(text: str) -> int:
    """`settings = { seconds = 10 }`: the longest time between two knocks, from 1 to 3600."""
    seconds = json.loads(text).get("seconds", 10)
    # `True` is an `int`, too: hence not `isinstance`.
    if type(seconds) is not int or not 1 <= seconds <= 3600:
        message = "`seconds` in the settings has to be a whole number from 1 to 3600"
        raise Err(Failure(FailureKind_WrongSettings(), message))
    return seconds


def without_port(address: str) -> str:
    """The host of `host:port` or `[host]:port`: each connection of a client has another port."""
    return address.rpartition(":")[0]


def slot_of(address: str) -> str:
    """The key for the last knock of an address.

    There are 256, so that strangers can't fill the state: two addresses that share one only make
    each other knock again.
    """
    number = reduce(lambda total, byte: (total * 31 + byte) % 256, address.encode(), 0)
    return f"knock-{number}"


def time_of(knock: bytes | None, address: str) -> int | None:
    """When `address` knocked, if the stored `ADDRESS MILLISECONDS` is a knock of that address."""
    knocker, _, milliseconds = (knock or b"").decode(errors="replace").partition(" ")
    if knocker != address or not milliseconds.isdecimal():
        return None
    return int(milliseconds)


def unkept(error: Err) -> Err:
    """The failure of a gate that can't remember."""
    match error.value:
        case StateError_Storage(why):
            pass
        case _:
            why = "the state is full"
    message = f"the knocks can't be remembered: {why}"
    return Err(Failure(FailureKind_TryAgain(None), message))
