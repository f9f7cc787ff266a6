"""Mutation testing: small faults are put into a folder, one at a time, and its tests are asked whether they see them.

``python tests/helpers/mutation.py linalg --sample 400`` (or ``--each 5`` of each module); what was stopped goes on
when it is called again. The faults are those of mutmut (its operators for LibCST). mutmut itself leaves functions
with decorators alone, a quarter of this package, and starts pytest for each fault; here one process imports torch and
collects the tests, and each fault is a fork of it that puts the altered code into the function and runs the tests
that reach it. Those are known from the coverage of each test, which is measured first and kept: ``--report`` says
lines and branches too.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import math
import os
import signal
import sys
import time
from collections import Counter
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from faults import Fault, faults_of, put_in
from faults_asked import ROOT, draw, files_of, tests_of

BUILD = ROOT / "build" / "mutation"
OPTIONS = ["-q", "-s", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not slow"]
OPTIONS += ["-o", "addopts=--import-mode=importlib --strict-markers"]
OPTIONS += ["--ignore=tests/factors/test_stress.py", "-k", "not compile and not processes and not finds_the_dimension"]
"""Of pytest: one process, no doctests, and not what takes long: compilations, processes, trainings, large priors."""
PATIENCE, GRACE = 5.0, 5.0
"""A fault may take so many times the processor time of its tests, and so many seconds; then it counts as seen."""
WAITING = 10.0
"""So many times as long it may wait for others that use the machine."""
DEAR = 2.0
"""Seconds of a processor past which a test is not asked: compilations, mostly."""
LONGEST = 3600.0
"""Seconds of a processor for the tests of one file, without faults."""
ENOUGH = 3.0
"""Seconds of a processor after which a fault that no test saw has survived."""
WARM = 2
"""Tests of each file that run before the forks: the first call of much in torch takes a second."""
NOT_PUT_IN = 3
"""The status of a fork whose fault does not fit into the function, such as one less variable of a closure."""


class Asking:
    """The plugin of pytest that runs forks in place of the tests."""

    def __init__(self, folder: str, faults: list[Fault], coverage, minutes: float) -> None:
        self.folder, self.faults, self.coverage, self.known = folder, faults, coverage, {}
        self.asking = False
        self.minutes = minutes
        self.lasted = BUILD / f"{folder}.durations.json"

    def pytest_runtestloop(self, session) -> bool:
        durations = json.loads(self.lasted.read_text()) if self.lasted.exists() else {}
        fresh = [item for item in session.items if durations.get(item.nodeid) is None]
        for file, items in groupby(fresh, key=lambda item: item.path):
            if self._fork(partial(self._measure, session, list(items)), LONGEST) != 0:
                raise RuntimeError(f"{file} could not be measured")
            _keep_coverage(self.folder)
        self.coverage.stop()
        durations = json.loads(self.lasted.read_text())
        for _, own in groupby(session.items, key=lambda item: item.path):
            _first_to_fail(session, list(own)[:WARM])  # so that first calls are over in all forks
        files = {str(fault.file) for fault in self.faults}
        things = gc.get_objects()
        self.living = [f for f in things if isinstance(f, FunctionType) and f.__code__.co_filename in files]
        del things
        gc.collect()
        gc.freeze()  # so that the collector of a fork does not copy what both have
        items = {item.nodeid: item for item in session.items if _is_asked(durations[item.nodeid])}
        deadline = time.monotonic() + 60.0 * self.minutes
        for done, fault in enumerate(self.faults):
            if time.monotonic() > deadline:
                break
            reach = self._reaching(fault, items, durations)
            status = self._asked(session, fault, [items[name] for name in reach], durations) if reach else "no test"
            place = f"{fault.file.relative_to(ROOT)}:{fault.lines[0]}"
            record = {"key": fault.key, "at": place, "is": status, "change": fault.change}
            with (BUILD / f"{self.folder}.jsonl").open("a") as out:
                out.write(json.dumps(record) + "\n")
            print(done + 1, "of", len(self.faults), status, place, flush=True)
        return True

    def pytest_runtest_makereport(self, item, call) -> None:
        """A fault is seen once a test fails: nobody reads the report of it, which takes longer than the test."""
        expected = item.get_closest_marker("xfail") or (
            call.excinfo and call.excinfo.errisinstance(pytest.skip.Exception)
        )
        if self.asking and call.excinfo and not expected:
            os._exit(1)

    def _asked(self, session, fault: Fault, items: list, durations: dict[str, float]) -> str:
        def ask() -> int:
            self.asking = True
            return int(_first_to_fail(session, items) is not None) if put_in(fault, self.living) else NOT_PUT_IN

        status = self._fork(ask, GRACE + PATIENCE * sum(durations[item.nodeid] for item in items))
        return {0: "survived", NOT_PUT_IN: "not put in", 1: "killed"}.get(status, "killed by time or signal")

    def _reaching(self, fault: Fault, items: dict, durations: dict[str, float]) -> list[str]:
        """The tests that reach the lines of a fault, or else its function, as time allows.

        Those of the file that has the module's name come first, and the shortest of each.
        """
        by_line = self._contexts(fault.file)
        for lines in (fault.lines, fault.function):
            reach = {test for line in lines for test in by_line.get(line, ()) if test in items}
            if reach:
                break
        own = f"/test_{fault.file.stem}.py"
        shortest = sorted(reach, key=lambda test: (own not in test, durations[test]))
        return [
            test for test, until in zip(shortest, accumulate(map(durations.__getitem__, shortest))) if until < ENOUGH
        ]

    def _contexts(self, file: Path) -> dict[int, list[str]]:
        if file not in self.known:
            self.known[file] = _coverage_of(self.folder).contexts_by_lineno(str(file))
        return self.known[file]

    def _measure(self, session, items: list) -> int:
        """How long each test takes, None where it fails or is skipped, and which lines it reaches."""
        durations = json.loads(self.lasted.read_text()) if self.lasted.exists() else {}
        for item in items:
            self.coverage.switch_context(item.nodeid)
            start = time.process_time()
            failed = _first_to_fail(session, [item])
            durations[item.nodeid] = None if failed else time.process_time() - start
            self.coverage.switch_context("")
        self.coverage.stop()
        self.coverage.save()
        self.lasted.write_text(json.dumps(durations))
        return 0

    def _fork(self, task, limit: float) -> int:
        """The status of a task in a process of its own; that of a signal where it takes longer."""
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            sink = os.open(BUILD / f"{self.folder}.output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            for timer, number, seconds in (
                (signal.ITIMER_PROF, signal.SIGPROF, limit),
                (signal.ITIMER_REAL, signal.SIGALRM, WAITING * limit),
            ):
                signal.signal(number, signal.SIG_DFL)
                signal.setitimer(timer, seconds)
            try:
                status = task()
            except BaseException:
                status = 1
            os._exit(status)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what its tests may have started
        return os.waitstatus_to_exitcode(status)


def _coverage_of(folder: str, ending: str = "coverage") -> Any:
    from coverage import CoverageData

    data = CoverageData(str(BUILD / f"{folder}.{ending}"))
    data.read()
    return data


def _keep_coverage(folder: str) -> None:
    """Add what was measured now to what was measured before."""
    new = BUILD / f"{folder}.new"
    if new.exists():
        data = _coverage_of(folder)
        data.update(_coverage_of(folder, "new"))
        data.write()
        new.unlink()


def _is_asked(duration: float | None) -> bool:
    return duration is not None and duration < DEAR


def _first_to_fail(session, items: list) -> str | None:
    for item, following in zip(items, [*items[1:], None]):
        before = session.testsfailed
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed > before:
            return item.nodeid
    return None


def records(folder: str) -> dict[str, dict]:
    """What is known of each fault, the newest of each."""
    file = BUILD / f"{folder}.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return {record["key"]: record for record in map(json.loads, lines)}


def report(folder: str, files: list[Path]) -> None:
    """Print how many were killed of each module, what was not, and the coverage."""
    counts: dict[str, Counter[str]] = {}
    left = []
    for record in records(folder).values():
        counts.setdefault(record["at"].split(":")[0], Counter())[record["is"]] += 1
        if record["is"] in ("survived", "no test"):
            before, after = record["change"]
            left.append(f"{record['at']}: {before!r} → {after!r} ({record['is']})")
    for file, count in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        asked = count.total() - count["not put in"]
        killed = count["killed"] + count["killed by time or signal"]
        print(f"{killed:5} of {asked:5} {killed / max(asked, 1):6.1%} {file}, {dict(count)}")
    print(*sorted(left), sep="\n")
    if (BUILD / f"{folder}.coverage").exists():
        from coverage import Coverage

        measured = Coverage(data_file=str(BUILD / f"{folder}.coverage"), branch=True)
        measured.load()
        measured.report([str(file) for file in files], show_missing=True, skip_covered=True)


def main() -> None:
    """Draw faults, ask the tests, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="of nflows_spread, or a module, such as losses")
    parser.add_argument("--sample", type=int, help="so many faults, drawn by --seed; all by default")
    parser.add_argument("--each", type=int, help="so many faults of each module, in place of --sample")
    parser.add_argument("--modules", nargs="+", help="these of the folder alone, asked of the tests of the same names")
    parser.add_argument("--tests", nargs="+", help="files of tests/ to ask, in place of those")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="after which no further fault is asked; what was is a sample too",
    )
    parser.add_argument("--again", action="store_true", help="ask again those that survived")
    parser.add_argument("--report", action="store_true", help="only what is known so far")
    options = parser.parse_args()
    folder = options.folder
    files = files_of(folder, options.modules)
    if not options.report:
        import coverage

        BUILD.mkdir(parents=True, exist_ok=True)
        measure = coverage.Coverage(data_file=str(BUILD / f"{folder}.new"), branch=True, source=["nflows_spread"])
        measure.start()
        sys.path.insert(0, str(ROOT))
        os.chdir(ROOT)
        for file in files:
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
        faults = [fault for file in files for fault in faults_of(file)]
        drawn = draw(faults, options.sample, options.each, options.seed)
        known = records(folder)
        done = {key for key, record in known.items() if not (options.again and record["is"] in ("survived", "no test"))}
        faults = [fault for fault in (faults if options.again else drawn) if fault.key not in done]
        faults = [fault for fault in faults if fault.key in known] if options.again else faults
        print(f"{len(drawn)} of the faults of {folder} drawn, {len(faults)} to ask", flush=True)
        tests = [f"tests/{name}" for name in options.tests or ()] or tests_of(folder, options.modules)
        pytest.main([*OPTIONS, *tests], plugins=[Asking(folder, faults, measure, options.minutes)])
    report(folder, files)


if __name__ == "__main__":
    main()
