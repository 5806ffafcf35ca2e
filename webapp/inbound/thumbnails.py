"""Small pictures of large ones, made in the parser process: a stranger's picture is as hostile as any mail.

Imported there on first use only; most messages bring no picture.
"""

from __future__ import annotations

import io
import warnings

# These four alone: Pillow loads its other readers only when none of the known ones fits.
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from webapp.mail.pictures import picture_type

EDGE = 320  # pixels, the longer side at most
MOST_PIXELS = 60_000_000  # decoded with four octets each; the process has 1 GB
_QUALITY = 80
_READERS = (PngImagePlugin, JpegImagePlugin, GifImagePlugin, WebPImagePlugin)
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}

ORIENTATION = 0x0112  # EXIF 2.3, section 4.6.4
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Image.MAX_IMAGE_PIXELS = None  # ours is the limit


def thumbnail(content: bytes) -> bytes | None:
    """`content` as a WebP picture of at most 320 pixels a side, upright, its first frame, no metadata.

    None where it is no picture, a broken one, or one that is larger than MOST_PIXELS when decoded.
    """
    found = picture_type(content)
    if found is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _made_small(content, _FORMATS[found])
    except (
        OSError,
        SyntaxError,
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        Image.DecompressionBombError,
    ):
        return None  # whatever Pillow says of a broken file


def _made_small(content: bytes, kind: str) -> bytes | None:
    with Image.open(io.BytesIO(content), formats=[kind]) as picture:
        picture.draft("RGB", (2 * EDGE, 2 * EDGE))  # JPEG: decoded at a fraction of its size
        if picture.width * picture.height > MOST_PIXELS:
            return None
        has_alpha = "A" in picture.getbands() or "transparency" in picture.info
        mode = "RGBA" if has_alpha else "RGB"
        small = _smoothable(picture, mode)
        small.thumbnail((EDGE, EDGE))
        small.info, exif = {}, picture.getexif()
        small = _upright(small.convert(mode), exif.get(ORIENTATION))
    bare = Image.frombytes(small.mode, small.size, small.tobytes())  # nothing but its pixels
    written = io.BytesIO()
    bare.save(written, "WEBP", quality=_QUALITY)
    return written.getvalue()


def _smoothable(picture: Image.Image, mode: str) -> Image.Image:
    """In a mode that is made small by averaging: colours of a palette cannot be, nor grey of 16 bits."""
    if picture.mode.startswith("I"):
        return picture.convert("F").point(lambda value: value * (1 / 256) + 0).convert("L")
    return picture.convert(mode) if picture.mode in ("1", "P", "PA") else picture


def _upright(picture: Image.Image, orientation: object) -> Image.Image:
    """As the camera was held."""
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)
