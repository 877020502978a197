"""Random changes of colour that make one image stand for many microscopes and cameras."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import FloatArray


def random_colours(
    image: npt.NDArray[np.uint8], rng: np.random.Generator, *, is_photograph: bool
) -> npt.NDArray[np.uint8]:
    """``(H, W, 3) uint8`` copy with another look.

    Gamma, brightness, contrast and colour shift for all; other percentiles of the stretch,
    uneven light, blur, noise and JPEG blocks now and then; inversion, grey and swapped
    channels more often where colours mean little (micrographs, overhead bands) than on
    photographs.

    Args:
        image: ``(H, W, 3) uint8`` RGB.
        rng: Source of randomness.
        is_photograph: Keeps colours natural.
    """
    out = image.astype(np.float32) / 255.0
    if rng.random() < (0.1 if is_photograph else 0.3):
        out = _stretch(out, rng)
    if rng.random() < (0.05 if is_photograph else 0.15):
        out = _shade(out, rng)
    out = _tone(out, rng)
    if rng.random() < (0.1 if is_photograph else 0.3):
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
    elif rng.random() < 0.3 and not is_photograph:
        out = out[..., rng.permutation(3)]
    if rng.random() < (0.02 if is_photograph else 0.25):
        out = 1.0 - out
    out = _degrade(np.ascontiguousarray(out, dtype=np.float32), rng)
    pixels: npt.NDArray[np.uint8] = np.rint(np.clip(out, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.1:
        quality = int(rng.integers(25, 80))
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return pixels


def _stretch(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Other percentiles made black and white, or a part of the range alone in use.

    What another program, another exposure or 12 bits in a 16-bit file make of an image.
    """
    if rng.random() < 0.5:
        shares = [100 * rng.uniform(0, 0.1), 100 * (1 - rng.uniform(0, 0.1))]
        black, white = (np.float32(v) for v in np.percentile(image, shares))
    else:
        white = np.float32(1 / rng.uniform(0.2, 0.8))
        black = np.float32(-rng.uniform(0, 0.2) * white)
    stretched: FloatArray = (image - black) / np.maximum(white - black, np.float32(1e-3))
    return np.clip(stretched, 0, 1)


def _shade(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Light that falls off to one side, by up to a half."""
    height, width = image.shape[:2]
    slope_y, slope_x = rng.uniform(-0.25, 0.25, 2)
    rows = np.linspace(-slope_y, slope_y, height, dtype=np.float32)[:, None]
    columns = np.linspace(-slope_x, slope_x, width, dtype=np.float32)[None, :]
    return np.clip(image * (1 + rows + columns)[..., None], 0, 1)


def _tone(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Gamma in [0.6, 1.7], contrast and brightness, a shift of each channel."""
    out = image
    if rng.random() < 0.5:
        out = np.power(out, np.float32(np.exp(rng.uniform(-0.5, 0.5))))
    if rng.random() < 0.8:
        contrast = np.float32(np.exp(rng.uniform(-0.5, 0.35)))
        mean = out.mean()
        out = (out - mean) * contrast + mean + np.float32(rng.uniform(-0.15, 0.15))
    if rng.random() < 0.5:
        out = out + rng.uniform(-0.08, 0.08, size=(1, 1, 3)).astype(np.float32)
    return np.clip(out, 0, 1)


def _degrade(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blur, loss of resolution and noise, each now and then."""
    out = image
    if rng.random() < 0.15:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.5, 2.0))), np.float32)
    if rng.random() < 0.1:
        height, width = out.shape[:2]
        factor = float(rng.uniform(0.25, 0.7))
        small = cv2.resize(out, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        out = np.asarray(cv2.resize(small, (width, height)), dtype=np.float32)
    if rng.random() < 0.2:
        sigma = float(rng.uniform(0.01, 0.08))
        one_band = rng.random() < 0.5
        shape = (*out.shape[:2], 1 if one_band else 3)
        out = out + rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma)
    return out
