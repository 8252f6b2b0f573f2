"""A case: a real sender, a real gateway as it is set up, and what must be said of their session.

What is expected is argued from the gateway's configuration and the sender's options (the comment beside a case, where it is
not plain), never taken from what smtpscope said.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

ALERT, HELLO = "\x15\x03", "\x16\x03"  # how TLS records begin


@dataclass(frozen=True)
class Place:
    """The exact point in one side's stream.

    text: the line that begins there, its `nth` occurrence; or how the side ended ("fin", "rst"): the end of its stream, and
    the event is that close; or "" for the end of its stream, where its next byte was missing (any event, or none).
    """
    side: str
    text: str = ""
    nth: int = 1


@dataclass(frozen=True)
class Case:
    name: str
    gateway: str                 # name of a gateway class
    settings: str                # name of its settings in SETTINGS of the same table
    send: Callable               # send(Route) -> what the sender printed
    code: str = ""               # "": nothing broke
    phase: str = ""
    party: str = ""
    at: Place | None = None
    verdict: str = ""            # "": breakdown with a code, delivered without
    notes: tuple = ()            # notes that must be there
    alone: bool = False          # its gateway must have no other session meanwhile
    sessions: int = 1            # connections that the sender makes
    judged: int = 0              # which of them, in order of time


@dataclass(frozen=True)
class Route:
    """What a sender is given: where to send, from which address, and the gateway itself for those who harm it."""
    host: str
    port: int
    source: str
    folder: Path                 # for its files
    certificates: object
    gateway: object
    gateway_port: int


def gateway_says(text, nth=1):
    return Place("gateway", text, nth)


def sender_says(text, nth=1):
    return Place("sender", text, nth)
