"""A real scan taken apart into structure and noise, and more noise of the same kind.

Structure: a guided filter that is guided by the slice itself (He et al., Guided image filtering, ECCV 2010), which
keeps edges. Noise: its power spectrum is measured in the liver, and noise of other phases is drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Array = npt.NDArray[np.float32]

FLAT_SHARE = 0.2  # of the noise that stays in the structure where there is no edge
_WINDOW = 5  # pixels


@dataclass(frozen=True)
class NoiseModel:
    """sd: HU. amplitude: (y, x) filter for white noise, mean square 1. blur_pixels: SD of the point spread that would
    give white noise the same correlation between neighbours.
    """

    sd: float
    amplitude: Array
    blur_pixels: float

    def draw(self, rng: np.random.Generator, slices: int, sd: float | None = None) -> Array:
        """Independent slices of noise (slices, y, x), in HU."""
        shape = self.amplitude.shape
        out = np.empty((slices, *shape), np.float32)
        scale = np.float32(np.sqrt(shape[0] * shape[1]) * (self.sd if sd is None else sd))
        for first in range(0, slices, 2):  # a complex wave holds two slices
            wave = np.empty(shape, np.complex64)
            wave.real = rng.standard_normal(shape, dtype=np.float32)
            wave.imag = rng.standard_normal(shape, dtype=np.float32)
            pair = fft.ifft2(wave * self.amplitude, workers=1, overwrite_x=True) * scale
            out[first] = pair.real
            if first + 1 < slices:
                out[first + 1] = pair.imag
        return out


def structure(hu: Array, noise_sd: float) -> Array:
    """The slices (z, y, x) without most of their noise."""
    size = (1, _WINDOW, _WINDOW)
    mean = ndimage.uniform_filter(hu, size)
    variance = np.maximum(ndimage.uniform_filter(hu * hu, size) - mean * mean, 0)
    share = variance / (variance + noise_sd**2 * (1 / FLAT_SHARE - 1))
    offset = ndimage.uniform_filter(mean * (1 - share), size)
    return np.asarray(ndimage.uniform_filter(share, size) * hu + offset, np.float32)


def measure_noise(hu: Array, even: npt.NDArray[np.bool_], most_slices: int = 24) -> NoiseModel:
    """The noise in an even part of the image, e.g. liver without vessels and lesions. hu, even: (z, y, x).

    Slow changes (over more than 9 pixels) are not counted as noise. Where the part is too small, noise of 10 HU with
    a usual spectrum is assumed.
    """
    inner = ndimage.binary_erosion(even, np.ones((1, 5, 5), bool))
    areas = inner.sum(axis=(1, 2))
    chosen = np.argsort(areas)[::-1][:most_slices]
    chosen = chosen[areas[chosen] > 400]
    shape = hu.shape[1:]
    frequency = np.sqrt(np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.fftfreq(shape[1])[None] ** 2)
    if not len(chosen):
        power = (frequency + 0.03) ** 2 * np.exp(-((frequency / 0.2) ** 2))
        return _model(10.0, np.asarray(power))
    mask = inner[chosen].astype(np.float32)
    part = hu[chosen] * mask
    weight = ndimage.uniform_filter(mask, (1, 9, 9))
    rest = (part - mask * ndimage.uniform_filter(part, (1, 9, 9)) / np.maximum(weight, 1e-3)).astype(np.float32)
    sd = float(1.4826 * np.median(np.abs(rest[mask > 0])))
    power = np.mean(np.abs(fft.fft2(rest, workers=1)) ** 2, axis=0)
    even_power = ndimage.gaussian_filter(power, [n / 60 for n in shape], mode="wrap")
    return _model(max(sd, 2.0), np.asarray(even_power))


def spread(image: Array, where: npt.NDArray[np.bool_]) -> float:
    """SD of quick changes in a part of an image, from the differences of pixels two apart."""
    pairs = where[:, :, 2:] & where[:, :, :-2]
    change = (image[:, :, 2:] - image[:, :, :-2])[pairs]
    return float(1.4826 * np.median(np.abs(change)) / np.sqrt(2)) if change.size else 0.0


def _model(sd: float, power: npt.NDArray[np.float64]) -> NoiseModel:
    power = power / power.mean()
    correlation = np.real(np.fft.ifft2(power))
    near = float(np.clip(0.5 * (correlation[0, 1] + correlation[1, 0]) / correlation[0, 0], 0.05, 0.9))
    return NoiseModel(sd, np.sqrt(power).astype(np.float32), float(np.sqrt(-0.25 / np.log(near))))
