"""Robot arms, hands and legs: joint angles behind the places of their links, by Pinocchio's forward kinematics."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import files
from typing import Any

import numpy as np

from intrinsic_dimension.systems.system import Array, System

_PACKAGES = ("pinocchio",)


@lru_cache
def _model(path: str) -> Any:
    """A robot of example-robot-data by the end of its path.

    Raises:
        FileNotFoundError: no such robot.
    """
    import pinocchio

    found = [file for file in files("example-robot-data") or () if str(file).endswith(path)]
    if not found:
        raise FileNotFoundError(f"example-robot-data must have {path}; install a release that does")
    return pinocchio.buildModelFromUrdf(str(found[0].locate()))


def _moved(path: str, joints: tuple[str, ...], see: Callable[[Any, Any, Any], Array]) -> Callable[[Array], Array]:
    """What is seen of a robot whose named joints have the given angles and whose others are at rest."""

    def measure(angles: Array) -> Array:
        import pinocchio

        model = _model(path)
        data, rest = model.createData(), pinocchio.neutral(model)
        places = [model.joints[model.getJointId(name)].idx_q for name in joints]
        seen = []
        for row in angles:
            configuration = rest.copy()
            configuration[places] = row
            pinocchio.framesForwardKinematics(model, data, configuration)
            seen.append(see(pinocchio, model, data))
        return np.stack(seen)

    return measure


def _pose_of(frame: str) -> Callable[[Any, Any, Any], Array]:
    """Place and orientation of a link, the latter as a matrix."""

    def see(pinocchio: Any, model: Any, data: Any) -> Array:
        place = data.oMf[model.getFrameId(frame)]
        return np.concatenate([place.translation, place.rotation.ravel()])

    return see


def _places_of_all(pinocchio: Any, model: Any, data: Any) -> Array:
    """Where all links are."""
    bodies = [number for number, frame in enumerate(model.frames) if frame.type == pinocchio.FrameType.BODY]
    return np.concatenate([data.oMf[number].translation for number in bodies])


def _places_and_grip(pinocchio: Any, model: Any, data: Any) -> Array:
    """Where all links are, and how the hand is turned, without which the last joint is not seen."""
    grip = data.oMf[model.getFrameId("panda_hand")].rotation.ravel()
    return np.concatenate([_places_of_all(pinocchio, model, data), grip])


_ARM = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6", "joint7")
_LEGS = tuple(f"{leg}_{joint}" for leg in ("FL", "FR", "HL", "HR") for joint in ("HAA", "HFE", "KFE"))
_WRIST = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")

ROBOTS = (
    System(
        "arm of six joints, its tool",
        12,
        6,
        ((-3.0, 3.0), (-2.5, -0.5), (0.3, 2.5), (-1.5, 1.5), (0.3, 2.8), (-3.0, 3.0)),
        _moved("ur5_robot.urdf", tuple(f"{joint}_joint" for joint in _WRIST), _pose_of("tool0")),
        _PACKAGES,
    ),
    System(
        "arm of seven joints, its tool",
        12,
        6,
        ((-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0), (0.3, 2.5), (-1.0, 1.0), (0.3, 2.0), (-1.0, 1.0)),
        _moved("xarm7.urdf", _ARM, _pose_of("link_eef")),
        _PACKAGES,
    ),
    System(
        "arm of seven joints, all links",
        48,
        7,
        ((-2.0, 2.0), (-1.5, 1.5), (-2.0, 2.0), (-2.5, -0.5), (-2.0, 2.0), (0.5, 3.0), (-2.0, 2.0)),
        _moved("panda.urdf", tuple(f"panda_{joint}" for joint in _ARM), _places_and_grip),
        _PACKAGES,
    ),
    System(
        "two fingers of a hand",
        63,
        8,
        (*((-0.4, 0.4), (0.2, 1.5), (0.2, 1.5), (0.2, 1.5)), *((0.3, 1.3), (0.0, 1.1), (0.0, 1.5), (0.0, 1.5))),
        _moved(
            "allegro_right_hand.urdf",
            tuple(f"joint_{number}.0" for number in (0, 1, 2, 3, 12, 13, 14, 15)),
            _places_of_all,
        ),
        _PACKAGES,
    ),
    System(
        "one leg of a quadruped",
        51,
        3,
        ((-0.8, 0.8), (-1.0, 1.0), (-2.0, -0.3)),
        _moved("solo12.urdf", _LEGS[:3], _places_of_all),
        _PACKAGES,
    ),
    System(
        "four legs of a quadruped",
        51,
        12,
        ((-0.8, 0.8), (-1.0, 1.0), (-2.0, -0.3)) * 4,
        _moved("solo12.urdf", _LEGS, _places_of_all),
        _PACKAGES,
    ),
)
"""Angles in radians, within what the joints can do."""
