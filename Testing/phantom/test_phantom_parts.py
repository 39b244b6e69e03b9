"""The phantom's parts: resampling, tubes, deformation, enhancement, and how lesions look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.anatomy.frame import Frame
from LiverAILib.phantom.appearance import Inside, Look, draw_look
from LiverAILib.phantom.enhancement import Enhancement, draw_enhancement, draw_seconds
from LiverAILib.phantom.fields import Field, ellipsoid, sample, smooth_noise
from LiverAILib.phantom.patient import draw_patient
from LiverAILib.phantom.tubes import tube_coverage
from LiverAILib.study import Phase


@settings(max_examples=25, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2), st.floats(0.5, 4))
def test_resampling_keeps_linear_functions(a: float, b: float, c: float, step: float) -> None:
    grid = Field(np.array([-3.0, 2.0, 5.0]), step, np.zeros((6, 7, 8), np.float32))
    z, y, x = grid.points()
    field = grid.like(a * z + b * y + c * x)
    rng = np.random.default_rng(0)
    axes = [np.sort(rng.uniform(grid.origin[k], grid.upper[k], 5)) for k in range(3)]
    expected = a * axes[0][:, None, None] + b * axes[1][None, :, None] + c * axes[2][None, None, :]
    assert np.allclose(sample(field, *axes), expected, atol=1e-3)


def test_averaged_resampling_is_the_mean_of_its_planes() -> None:
    field = Field(np.zeros(3), 1.0, smooth_noise(np.random.default_rng(1), (9, 9, 9), 1.0))
    z, y, x = np.linspace(1, 7, 6), np.linspace(0, 8, 5), np.linspace(0, 8, 4)
    fine = sample(field, z, y, x)
    assert np.allclose(sample(field, z, y, x, average=3), fine.reshape(2, 3, 5, 4).mean(axis=1), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.floats(5, 30), st.floats(5, 30), st.floats(5, 30))
def test_distance_to_an_ellipsoid_is_zero_on_it_and_negative_inside(rz: float, ry: float, rx: float) -> None:
    def at(z: float, y: float, x: float) -> float:
        return float(ellipsoid((np.float32([z]), np.float32([y]), np.float32([x])), (1, 2, 3), (rz, ry, rx))[0])

    assert at(1 + rz, 2, 3) == pytest.approx(0, abs=1e-3)
    assert at(1, 2, 3 + rx) == pytest.approx(0, abs=1e-3)
    assert at(1, 2, 3) < 0 < at(1, 2 + 2 * ry, 3)


@pytest.mark.parametrize("thickness", [1.0, 5.0])
def test_tubes_cover_their_true_volume_at_any_slice_thickness(thickness: float) -> None:
    z, x = np.arange(0, 60, thickness), np.arange(0, 60, 0.8)
    start, end = np.float32([[8, 10, 10]]), np.float32([[50, 44, 40]])
    radius = np.float32([3.0])
    found = tube_coverage(start, end, radius, radius, z, x, x, thickness)
    assert found is not None
    volume = float(found[1].sum()) * thickness * 0.8**2
    length = float(np.linalg.norm(end - start))
    assert volume == pytest.approx(np.pi * 9 * (length + 4), rel=0.03)  # a cylinder with round ends


def test_deformed_body_has_an_inverse() -> None:
    frame = Frame.draw(np.random.default_rng(2), (-150.0, 150.0))
    grid, standard = frame.box((-60, -60, -60), (60, 60, 60), 20.0)
    z, y, x = (np.broadcast_to(p, grid.values.shape) for p in grid.points())
    back = frame.to_patient(np.stack(standard, axis=-1))
    assert np.abs(back - np.stack([z, y, x], axis=-1)).max() < 0.5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_contrast_runs_through_the_vessels_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    seconds = draw_seconds(rng)
    hu = draw_enhancement(rng, 58.0, cirrhotic=False, seconds=seconds).hu
    arterial, portal, delayed = Phase.ARTERIAL, Phase.PORTAL_VENOUS, Phase.DELAYED
    assert hu["aorta"][portal] > hu["aorta"][delayed] > hu["aorta"][Phase.NON_CONTRAST]
    if seconds[arterial] > 28:  # one taken very early may come before the aorta's peak
        assert hu["aorta"][arterial] > hu["aorta"][portal]
    assert hu["aorta"][arterial] > hu["portal_vein"][arterial] > hu["hepatic_vein"][arterial]
    assert (
        hu["hepatic_vein"][portal] > hu["liver"][portal] > hu["liver"][arterial] > hu["liver"][Phase.NON_CONTRAST] - 1
    )
    assert hu["renal_cortex"][arterial] > hu["renal_medulla"][arterial]


def typical(kind: LesionType, seed: int, radius: float = 18.0) -> tuple[Look, Enhancement, Inside]:
    rng = np.random.default_rng(seed)
    box = Field(np.full(3, -radius * 1.2), radius / 12, np.zeros((30, 30, 30), np.float32))
    radial = np.sqrt(sum(p**2 for p in box.points())) / radius
    noise = [smooth_noise(rng, (30, 30, 30), s) for s in (1.0, 3.0, 6.0)]
    inside = Inside(np.float32((radial - 1) * radius), np.float32(radial), noise[0], noise[1], noise[2], radius)
    seconds = {**draw_seconds(rng), Phase.ARTERIAL: 36.0}
    course = draw_enhancement(rng, 58.0, cirrhotic=False, seconds=seconds)
    return draw_look(kind, inside, course, rng, atypical=False), course, inside


def part(look: Look, inside: Inside, phase: Phase, low: float, high: float) -> float:
    return float(look.hu[phase][(inside.radial >= low) & (inside.radial < high)].mean())


@pytest.mark.parametrize("seed", range(4))
def test_typical_hcc_is_bright_in_the_arterial_phase_and_washes_out(seed: int) -> None:
    look, course, inside = typical(LesionType.HCC, seed)
    assert part(look, inside, Phase.ARTERIAL, 0, 0.8) > course.hu["liver"][Phase.ARTERIAL] + 5
    assert part(look, inside, Phase.DELAYED, 0, 0.8) < course.hu["liver"][Phase.DELAYED]


@pytest.mark.parametrize("seed", range(4))
def test_cholangiocarcinoma_has_an_early_rim_and_a_late_centre(seed: int) -> None:
    look, _, inside = typical(LesionType.ICC, seed)
    assert part(look, inside, Phase.ARTERIAL, 0.9, 1) > part(look, inside, Phase.ARTERIAL, 0, 0.5) + 5
    assert part(look, inside, Phase.DELAYED, 0, 0.5) > part(look, inside, Phase.PORTAL_VENOUS, 0, 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_metastasis_is_darker_than_the_liver_in_the_portal_phase(seed: int) -> None:
    look, course, inside = typical(LesionType.METASTASIS, seed)
    assert part(look, inside, Phase.PORTAL_VENOUS, 0, 0.7) < course.hu["liver"][Phase.PORTAL_VENOUS] - 15


@pytest.mark.parametrize("seed", range(4))
def test_fnh_is_brightest_early_and_like_the_liver_late(seed: int) -> None:
    look, course, inside = typical(LesionType.FNH, seed)
    assert part(look, inside, Phase.ARTERIAL, 0.6, 0.95) > course.hu["liver"][Phase.ARTERIAL] + 30
    assert abs(part(look, inside, Phase.DELAYED, 0.6, 0.95) - course.hu["liver"][Phase.DELAYED]) < 22


@pytest.mark.parametrize("seed", range(4))
def test_haemangioma_fills_from_the_edge_with_the_blood_pool(seed: int) -> None:
    look, _, inside = typical(LesionType.HAEMANGIOMA, seed)
    filled = [float((look.hu[phase][inside.radial < 1] > 75).mean()) for phase in Phase]
    assert filled[0] == 0
    assert filled[1] < 0.6
    assert filled[2] <= filled[3] + 0.02
    assert part(look, inside, Phase.PORTAL_VENOUS, 0.85, 1) > part(look, inside, Phase.PORTAL_VENOUS, 0, 0.4)


@pytest.mark.parametrize("seed", range(4))
def test_cyst_is_water_that_never_enhances(seed: int) -> None:
    look, _, inside = typical(LesionType.CYST, seed)
    means = [part(look, inside, phase, 0, 0.9) for phase in Phase]
    assert max(means) - min(means) < 1
    assert -12 < means[0] < 24


@pytest.mark.parametrize("seed", range(4))
def test_abscess_has_pus_a_bright_wall_and_oedema(seed: int) -> None:
    look, course, inside = typical(LesionType.ABSCESS, seed)
    portal = look.hu[Phase.PORTAL_VENOUS]
    layers = [float(portal[(inside.radial >= r) & (inside.radial < r + 0.05)].mean()) for r in np.arange(0.5, 1, 0.05)]
    assert part(look, inside, Phase.PORTAL_VENOUS, 0, 0.4) < 60
    assert max(layers[3:-2]) > layers[-1] + 3  # the wall over the oedema outside it
    assert layers[-1] < course.hu["liver"][Phase.PORTAL_VENOUS]


def test_clinical_record_goes_with_the_lesions() -> None:
    def share(kind: LesionType, item: str) -> float:
        drawn = [draw_patient(np.random.default_rng([k, 3]), (kind,)) for k in range(150)]
        return float(np.mean([bool(getattr(patient.clinical, item)) for patient in drawn]))

    assert share(LesionType.HCC, "cirrhosis") > share(LesionType.FNH, "cirrhosis") + 0.3
    assert share(LesionType.METASTASIS, "extrahepatic_tumour") > share(LesionType.CYST, "extrahepatic_tumour") + 0.4
    assert share(LesionType.ICC, "cholangiolithiasis") > share(LesionType.HCC, "cholangiolithiasis") + 0.1
    assert 0.02 < share(LesionType.HAEMANGIOMA, "hepatitis") < 0.3  # rare, but no give-away


def test_some_patients_have_no_lesion_and_some_have_many() -> None:
    counts = [len(draw_patient(np.random.default_rng([k, 4]), None).lesion_types) for k in range(300)]
    assert 0.2 < np.mean(np.array(counts) == 0) < 0.45
    assert max(counts) >= 10
