"""Decoding of image files of any kind to upright pixels of 8 bits, or the reason why that cannot be done."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any, NamedTuple

import numpy as np

from nflows_spread.datasets.extras import pillow_image

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes an image upright again, by its orientation in EXIF."""

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_SCALED_TO_16_BITS = ("PNG", "PPM")  # where Pillow holds 16 bits in a mode of 32
_REMEDY = "save them as integers of 8 or 16 bits without a sign"


class Decoded(NamedTuple):
    """An image in Pillow's form, of mode ``L`` or ``RGB``, and whether pixels of the file are not opaque."""

    image: Any
    transparent: bool


def decoded(content: bytes, channels: int) -> Decoded:
    """The image of a file.

    Args:
        content: of the file. Of several frames the first is taken; the orientation that a camera noted is applied;
            colours are taken as they are stored, without transparency.
        channels: 3 for RGB, 1 for grey levels.

    Raises:
        Exception: the content is damaged, of no known kind, or claims more than 89 million pixels, as Pillow warns of.
        ValueError: the pixels are numbers of no known range, or colours that Pillow does not convert.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", pillow_image().DecompressionBombWarning)  # of half as many pixels as its error
        opening = pillow_image().open(io.BytesIO(content))
    with opening as opened:
        opened.load()
        transparent = opened.has_transparency_data and _alpha_of(opened).getextrema()[0] < 255
        image = _in_bytes(opened)
        if image.mode != "L" or channels == 3:
            image = image.convert("RGB")  # on the way to grey levels too, as Pillow knows no direct one from LAB
        image = image.convert("L") if channels == 1 else image
        turn = _UPRIGHT.get(_orientation_of(opened))
        return Decoded(image if turn is None else image.transpose(pillow_image().Transpose[turn]), transparent)


def _in_bytes(image: Any) -> Any:
    """The image itself, or its pixels' upper 8 bits where there are more; Pillow would clip and not scale."""
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        raise ValueError(f"its pixels are floating-point numbers of no known range; {_REMEDY}")
    if _SIGNED in np.atleast_1d(tags.get(_TIFF_SAMPLE_FORMAT, ())):
        raise ValueError(f"its pixels are signed integers of no known range; {_REMEDY}")
    if image.mode == "I" and image.format not in _SCALED_TO_16_BITS:
        raise ValueError(f"its pixels are 32-bit integers of no known range; {_REMEDY}")
    if not image.mode.startswith("I"):
        return image
    (bits,) = tags.get(_TIFF_BITS, (16,))
    values = (np.asarray(image).astype(np.int64) >> (bits - 8)).clip(0, 255).astype(np.uint8)
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:  # which Pillow inverts at 8 bits and not at 16
        values = 255 - values
    return pillow_image().fromarray(values)


def _alpha_of(image: Any) -> Any:
    return image.convert("RGBA").getchannel("A")


def _orientation_of(image: Any) -> Any:
    """That of the metadata, or None where there are none or they are damaged, which takes nothing from the pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return image.getexif().get(_EXIF_ORIENTATION)
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OSError, struct.error):
        return None
