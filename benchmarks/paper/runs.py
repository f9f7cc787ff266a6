"""One run of an experiment: train and measure its flows, then leave a picture and a record."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nflows_spread.training import NotFiniteError
from paper import experiments, pictures
from paper.data_sets import DataSet, Folders
from paper.experiment import Experiment, Variant
from paper.results import Result, plain
from paper.settings import digest, settings_of
from paper.training import train
from shared import records

_SHORTEST = 1e-6


@dataclass(frozen=True)
class Run:
    """What is asked for.

    Attributes:
        name: of the experiment.
        out: folder for the results; what an unfinished run needs to go on is in a folder within it.
        only: rows of the table, whose names the record then has in its own; empty for all.
        profile: how long to train.
        seed: of data, weights and noise.
        device: where to train.
        max_minutes: stop the training of all flows after so long, or None.
        data_dir: folder of real data, or None.
        fresh: start anew where an interrupted run could go on.
        keep: keep the checkpoints of a finished run.
        strict: stop at a file of the data that cannot be read.
    """

    name: str
    out: Path
    only: tuple[str, ...] = ()
    profile: str = "quick"
    seed: int = 0
    device: str = "cpu"
    max_minutes: float | None = None
    data_dir: Path | None = None
    fresh: bool = False
    keep: bool = False
    strict: bool = False

    @property
    def stem(self) -> str:
        """Of the names of its files."""
        return "-".join([self.name, self.profile, "seed", str(self.seed), *map(_as_file_name, self.only)])

    @property
    def unfinished(self) -> Path:
        """The folder of its checkpoints."""
        return self.out / "unfinished" / self.stem

    @property
    def command(self) -> str:
        """What makes this one result again."""
        said = [self.name, "--profile", self.profile, "--seed", str(self.seed)]
        for flow in self.only:
            said += ["--only", flow]
        if self.device != "cpu":
            said += ["--device", self.device]
        if self.max_minutes is not None:
            said += ["--max-minutes", f"{self.max_minutes:g}"]
        return shlex.join(["python", "benchmarks/run.py", *said])

    def __call__(self) -> dict[str, Any]:
        """Do it, and write ``<stem>.json`` and ``<stem>.png``.

        Returns:
            The record that the JSON file holds.

        Raises:
            ValueError: there is no such experiment, profile or row.
            FileNotFoundError: real data is not where it was said to be.
            UnreadableDataError: it is there and not as it should be.
            KeyboardInterrupt: Ctrl-C, after a checkpoint was written.
        """
        declared = experiments.load(self.name).at(self.profile).with_rows(self.only)
        if self.fresh:
            shutil.rmtree(self.unfinished, ignore_errors=True)
        results: list[Result] = []
        numbers: dict[str, object] = {}
        budget = _Budget(self.max_minutes, len(declared.variants))
        for variant in declared.variants:
            print(f"{self.stem}: training the flow '{variant.name}'", file=sys.stderr, flush=True)
            try:
                result = self._train(declared.of(variant), variant, budget.next())
            except NotFiniteError as error:
                numbers[variant.name] = {"failed": str(error)}
                continue
            results.append(result)
            numbers[variant.name] = result.numbers
        for name, baseline in declared.baselines.items():
            print(f"{self.stem}: {name}", file=sys.stderr, flush=True)
            found = baseline(self._data(declared), self.seed)
            numbers[name] = {key: plain(value) for key, value in found.items()}
        finished = all(result.trained.stopped == "steps" for result in results)
        if results:
            title = f"{self.name}, profile {self.profile}, seed {self.seed}{'' if finished else ', unfinished'}"
            pictures.draw(self.out / f"{self.stem}.png", title, results, declared.panels, declared.together)
        settings = {variant.name: settings_of(declared.of(variant)) for variant in declared.variants}
        record = records.record(
            self.name,
            self.command,
            run={
                "profile": self.profile,
                "seed": self.seed,
                "finished": finished,
                "share_of_paper": _share_of_paper(self.name, results),
            },
            found={"results": numbers, "settings": settings},
        )
        records.write(self.out / f"{self.stem}.json", record)
        if finished and not self.keep:
            shutil.rmtree(self.unfinished, ignore_errors=True)
        return record

    def _train(self, settings: Experiment, variant: Variant, minutes: float | None) -> Result:
        data = self._data(settings)
        trained = train(
            settings,
            data.train.x,
            seed=self.seed,
            device=self.device,
            max_minutes=minutes,
            folder=self.unfinished / f"{_as_file_name(variant.name)}-{digest(settings)}",
        )
        return Result(variant.name, settings, data, trained, measures=settings.measures, seed=self.seed)

    def _data(self, settings: Experiment) -> DataSet:
        return settings.data(self.seed, Folders(self.data_dir, self.out / "cache", self.strict))


def _as_file_name(flow: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in flow)


class _Budget:
    """Minutes for a run, shared by its flows: what one leaves is the others'."""

    def __init__(self, minutes: float | None, flows: int) -> None:
        self._until = None if minutes is None else time.perf_counter() + 60.0 * minutes
        self._flows = flows

    def next(self) -> float | None:
        """Minutes for the next flow."""
        if self._until is None:
            return None
        share = max(_SHORTEST, (self._until - time.perf_counter()) / 60.0 / self._flows)
        self._flows -= 1
        return share


def _share_of_paper(name: str, results: Sequence[Result]) -> dict[str, float]:
    """For each flow, the rows of data it saw as a share of the paper's; none where the paper has no schedule.

    A flow that the profile of the paper has not is held against the schedule that its flows share.
    """
    declared = experiments.load(name)
    if "paper" not in declared.profiles:
        return {}
    paper = declared.at("paper")
    rows = {variant.name: paper.of(variant).rows for variant in paper.variants}
    return {
        result.name: round(result.trained.steps * result.settings.batch_size / rows.get(result.name, paper.rows), 4)
        for result in results
    }
