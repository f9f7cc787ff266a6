"""Ctrl-C, SIGTERM and kill -9. This file is also the program that is interrupted: it forks, so torch loads once."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from nflows_spread import SpreadKLLoss
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import Checkpoints, GeometricNoise, fit, read_checkpoint
from nflows_spread.training.interruptions import Interruptions

KILLS, IN_EVERY_RUN = 50, 4
ANNEALED = 400


def objective():
    torch.manual_seed(0)
    return SpreadKLLoss(coupling_flow(**TABLE_1))


def train(folder, steps, every, callbacks=()):
    loss = objective()
    torch.manual_seed(1)
    fit(
        loss,
        torch.randn(500, 2, generator=torch.Generator().manual_seed(0)),
        steps=steps,
        batch_size=20,
        learning_rate=1e-3,
        noise_schedule=GeometricNoise(loss, start=0.3, end=0.05, steps=ANNEALED),
        generator=torch.Generator().manual_seed(2),
        checkpoints=None if folder is None else Checkpoints(folder, every=every, keep=2),
        resume=folder is not None,
        callbacks=callbacks,
    )
    return [parameter.detach() for parameter in loss.parameters()]


def test_a_first_signal_is_remembered_and_a_second_one_acts():
    interruptions, before = Interruptions(), signal.getsignal(signal.SIGINT)
    with interruptions.deferred(enabled=True):
        signal.raise_signal(signal.SIGINT)
        assert interruptions.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        interruptions.pass_on()


@pytest.mark.parametrize("enabled", [True, False])
def test_other_threads_and_runs_without_checkpoints_leave_signals_alone(enabled):
    found = []

    def handlers():
        with Interruptions().deferred(enabled=enabled):
            found.append(signal.getsignal(signal.SIGINT))

    if enabled:
        thread = threading.Thread(target=handlers)
        thread.start()
        thread.join()
    else:
        handlers()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_ctrl_c_of_a_run_with_checkpoints_acts_when_that_of_its_step_is_written(tmp_path):
    def interrupt(state):
        if state.step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, steps=6, every=100, callbacks=[interrupt])
    assert Checkpoints(tmp_path, every=100).read_latest()["step"] == 3


def in_a_fork(function, *arguments):
    """The id of a child process that runs the function and nothing else."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function(*arguments)
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    return child


def how_it_ended(child):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"exit": code}


def wait_for_a_checkpoint(folder, after=-1, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        paths = Checkpoints(folder).paths()
        if paths and int(paths[-1].stem.partition("-")[2]) > after:
            return
        time.sleep(0.005)
    raise TimeoutError("no checkpoint came")


def signalled(folder, number):
    """What a run leaves that gets a signal long before its first checkpoint is due."""
    ready = Path(f"{folder}-ready")
    child = in_a_fork(train, folder, 10**6, 10**5, [lambda state: state.step == 20 and ready.touch()])
    while not ready.exists():
        time.sleep(0.01)
    os.kill(child, number)
    ended = how_it_ended(child)
    steps = [read_checkpoint(path)["step"] for path in Checkpoints(folder).paths()]
    return {**ended, "steps": steps, "files": sorted(path.name for path in Path(folder).iterdir())}


def read_all_the_time(folder, end):
    """Read the newest checkpoint again and again while a process writes others: it is whole at every moment."""
    while time.monotonic() < end:
        newest = Checkpoints(folder).paths()[-1]
        try:
            assert read_checkpoint(newest)["step"] == int(newest.stem.partition("-")[2])
        except FileNotFoundError:  # the process has let go of it, as it has written others
            assert Checkpoints(folder).paths()[-1] != newest


def killed(folder, kills):
    """Kill a run again and again while it does little but write, look at what is left, and let it end."""
    pauses, snapshots, steps = random.Random(0), [], 60 + 30 * kills  # more than are made before the last kill
    for _ in range(kills):
        before = snapshots[-1]["step"] if snapshots else -1
        child = in_a_fork(train, folder, steps, 1)
        wait_for_a_checkpoint(folder, after=before)
        end = time.monotonic() + pauses.uniform(0.0, 0.05)
        read_all_the_time(folder, end)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        unfinished = len(list(Path(folder).glob(".*.unfinished")))
        paths = Checkpoints(folder).paths()
        readable = [read_checkpoint(path)["step"] for path in paths]
        best = read_checkpoint(Checkpoints(folder).best)["step"] if Checkpoints(folder).best.exists() else None
        snapshots.append({"step": max(readable), "readable": len(readable), "unfinished": unfinished, "best": best})
    resumed, whole = train(folder, steps, 100), train(None, steps, 1)
    return {"snapshots": snapshots, "same": all(torch.equal(a, b) for a, b in zip(resumed, whole))}


def as_a_program(what, folder, kills=0):
    done = subprocess.run(
        [sys.executable, __file__, what, str(folder), str(kills)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


posix = pytest.mark.skipif(os.name != "posix", reason="signals and fork are those of POSIX")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What one program saw, of both signals and of a few kills."""
    return as_a_program("everything", tmp_path_factory.mktemp("interruptions"), IN_EVERY_RUN)


@posix
def test_ctrl_c_and_sigterm_leave_a_checkpoint_of_their_step_and_then_act(found):
    found = found["signals"]
    assert found["SIGINT"]["exit"] == 130, "Ctrl-C must end in KeyboardInterrupt"
    assert found["SIGTERM"]["exit"] == -signal.SIGTERM
    for left in found.values():
        assert len(left["steps"]) == 1
        assert 20 <= left["steps"][0] < 10**5
        assert not [name for name in left["files"] if "unfinished" in name]


@posix
@pytest.mark.parametrize("kills", [IN_EVERY_RUN, pytest.param(KILLS, marks=pytest.mark.slow)])
def test_kills_at_random_moments_leave_checkpoints_that_can_be_read_and_continued(kills, request, tmp_path):
    if kills == IN_EVERY_RUN:
        found = request.getfixturevalue("found")["kills"]
    else:
        found = as_a_program("kills", tmp_path, kills)["kills"]
    snapshots = found["snapshots"]
    assert len(snapshots) == kills
    assert all(each["readable"] >= 1 for each in snapshots)
    assert [each["step"] for each in snapshots] == sorted(each["step"] for each in snapshots)
    assert found["same"], "the run that was killed did not end where the run that was not ended"
    if kills == KILLS:
        assert any(each["unfinished"] for each in snapshots), "none of them has hit a file that was being written"


@posix
@pytest.mark.slow
@pytest.mark.parametrize("everybody", [True, False], ids=["the whole group", "the starting process alone"])
def test_ctrl_c_ends_two_processes_with_a_checkpoint(everybody, tmp_path):
    script = Path(__file__).parents[2] / "examples" / "train_distributed.py"
    command = [script, "--processes", "2", "--device", "cpu", "--steps", "1000000", "--folder", tmp_path / "run"]
    started = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 120.0
        while not (tmp_path / "run").exists() and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(3.0)
        (os.killpg if everybody else os.kill)(started.pid, signal.SIGINT)
        assert started.wait(timeout=60) == -signal.SIGINT
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
    (path,) = Checkpoints(tmp_path / "run").paths()
    assert read_checkpoint(path)["step"] > 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, where, number = sys.argv[1:]
    values = {}
    if command == "everything":
        values["signals"] = {s.name: signalled(f"{where}/{s.name}", s) for s in (signal.SIGINT, signal.SIGTERM)}
    values["kills"] = killed(f"{where}/kills", int(number))
    print(json.dumps(values))
