"""t-SNE (van der Maaten and Hinton, JMLR 2008): points of many dimensions on a plane, near ones near. Exact, for the
few hundred lesions of an evaluation.
"""

from __future__ import annotations

import numpy as np

from LiverAILib.readerstudy.statistics.estimate import Array


def _distances(points: Array) -> Array:
    """Squared distances (n, n)."""
    norms = (points**2).sum(axis=1)
    return np.asarray(np.maximum(norms[:, None] + norms[None] - 2 * points @ points.T, 0))


def affinities(points: Array, perplexity: float) -> Array:
    """Joint probabilities (n, n) of being neighbours; each point's bandwidth is such that its neighbours' entropy is
    the perplexity's logarithm.
    """
    squared = _distances(points)
    np.fill_diagonal(squared, np.inf)
    wanted = np.log(perplexity)
    low, high = np.zeros(len(points)), np.full(len(points), np.inf)
    beta = 1 / np.maximum(np.median(squared, axis=1), 1e-12)
    chances = np.zeros_like(squared)
    nearest = squared.min(axis=1, keepdims=True)
    for _ in range(60):
        chances = np.exp(-(squared - nearest) * beta[:, None])
        chances /= chances.sum(axis=1, keepdims=True)
        entropy = -(chances * np.log(np.maximum(chances, 1e-300))).sum(axis=1)
        too_wide = entropy > wanted
        low, high = np.where(too_wide, beta, low), np.where(too_wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + high) / 2)
    joint = chances + chances.T
    return np.asarray(np.maximum(joint / joint.sum(), 1e-12))


def tsne(points: Array, *, perplexity: float = 30.0, steps: int = 600, seed: int = 0) -> Array:
    """Places (n, 2). Begins with the two principal components; early exaggeration for the first quarter of the steps.

    Raises ValueError for fewer than four points.
    """
    if len(points) < 4:
        raise ValueError(f"t-SNE needs at least four points, not {len(points)}.")
    centred = np.asarray(points - points.mean(axis=0), dtype=np.float64)
    joint = affinities(centred, min(perplexity, (len(points) - 1) / 3))
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    noise = np.random.default_rng(seed).normal(size=(len(points), 2))
    main = left[:, :2] * sizes[:2]
    place = 1e-4 * (main / max(main.std(), 1e-12) + 0.01 * noise)
    speed, gain = np.zeros_like(place), np.ones_like(place)
    rate = max(len(points) / 12.0 / 4, 50.0)
    for step in range(steps):
        early = step < steps // 4
        kernel = 1 / (1 + _distances(place))
        np.fill_diagonal(kernel, 0)
        pull = ((12.0 if early else 1.0) * joint - np.maximum(kernel / kernel.sum(), 1e-12)) * kernel
        gradient = 4 * (pull.sum(axis=1)[:, None] * place - pull @ place)
        against = np.sign(gradient) != np.sign(speed)
        gain = np.maximum(np.where(against, gain + 0.2, gain * 0.8), 0.01)
        speed = (0.5 if early else 0.8) * speed - rate * gain * gradient
        place = place + speed
        place -= place.mean(axis=0)
    return place
