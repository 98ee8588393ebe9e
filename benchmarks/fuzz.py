"""Whether parsers end well for any input: python -m benchmarks.fuzz [PARSER ...] --minutes N.

Every parser of what comes from outside (``benchmarks.parsers``) gets an equal share of the time. An input may end in a
value or in a ``UserError`` of one line; any other exception, ten seconds of a core and half a gigabyte of memory more
are a crash. The input of each distinct crash is kept in a folder. Prints a line a parser: inputs, inputs a second,
crashes, and the seconds of the slowest input, which is kept too.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from benchmarks.mutations import mutated
from benchmarks.parsers import Parser, parsers
from prosody_tts.errors import UserError, nearest

#: Seconds of a core that one input may take, and bytes of memory beside what the process has.
LONGEST, MEMORY = 10.0, 512 * 2**20


class TooLong(BaseException):
    """An input took too long; no parser catches it."""


@dataclass
class Tally:
    """What came of a parser's inputs."""

    inputs: int = 0
    values: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    crashes: dict[str, str] = field(default_factory=dict)

    def line(self, name: str) -> str:
        """A line of the table."""
        pace = self.inputs / max(self.seconds, 1e-9)
        share = 100 * self.values / max(self.inputs, 1)
        return (
            f"{name:<11} {self.inputs:>8} inputs  {share:>3.0f} % read  {pace:>8.1f} /s  slowest {self.slowest:>6.2f} s"
            f"  {len(self.crashes)} crashes"
        )


def main() -> None:
    """Read the arguments, attack; exit status 1 where anything crashed."""
    arguments = argparse.ArgumentParser(description="Whether parsers end well for any input.")
    arguments.add_argument("names", nargs="*", metavar="PARSER", help="which parsers; all if none is named")
    arguments.add_argument("--minutes", type=float, default=10.0, help="for all of them together")
    arguments.add_argument("--seed", type=int, default=0, help="of the inputs")
    arguments.add_argument("--out", type=Path, default=Path("fuzz"), help="folder of inputs that crash")
    given = arguments.parse_args()
    known = parsers()
    for name in given.names:
        if name not in known:
            sys.exit(f"there is no parser '{name}'; {nearest(name, known)}")
    chosen = {name: known[name] for name in given.names or known}
    warnings.simplefilter("ignore")
    crashed = False
    for name, parser in chosen.items():
        tally = attack(name, parser, 60 * given.minutes / len(chosen), given.seed, given.out)
        print(tally.line(name), flush=True)
        for where, told in tally.crashes.items():
            print(f"    {where}: {told}", flush=True)
        crashed = crashed or bool(tally.crashes)
    sys.exit(int(crashed))


def attack(name: str, parser: Parser, seconds: float, seed: int, out: Path) -> Tally:
    """Give a parser mutated inputs for so many seconds; crashes and the slowest input are kept in ``out``."""
    draw, tally = random.Random(f"{seed}/{name}"), Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        place = Path(root) / "input"
        place.mkdir()
        with suppress(UserError):
            parser.parse(parser.seeds[0], place)  # what loads on first use takes its time
        _limit_memory()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            data = mutated(parser.seeds, draw)
            started = time.process_time()
            found = run(parser, data, place)
            took = time.process_time() - started
            tally.inputs += 1
            tally.values += found == ""
            if took > tally.slowest:
                tally.slowest = took
                _keep(out / f"{name}-slowest", data)
            if found is not None and found and found not in tally.crashes:
                tally.crashes[found] = _keep(out / f"{name}-{hashlib.sha256(found.encode()).hexdigest()[:8]}", data)
        tally.seconds = time.monotonic() - began
    return tally


def run(parser: Parser, data: bytes, place: Path) -> str | None:
    """Give a parser one input in an empty folder: nothing for a value, none for a user's error, else what crashed."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
    try:
        parser.parse(data, place)
        return ""
    except UserError as error:
        return None if len(str(error).splitlines()) == 1 else f"UserError of several lines: {str(error)[:80]!r}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [
            frame for frame in frames if "site-packages" not in frame.filename and "benchmarks" not in frame.filename
        ]
        frame = (own or list(frames))[-1]
        return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno} ({frame.line})"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLong


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))


def _keep(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


if __name__ == "__main__":
    main()
