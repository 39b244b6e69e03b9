"""The phase from tags in four languages, from timing and order, from pixels, and what becomes of two opinions."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from ct_builder import PIXEL_MM, STEP_MM, anatomy

from LiverAILib.importing.phases import decide
from LiverAILib.importing.phases_from_pixels import Enhancement, coarse, from_pixels, judge, measure
from LiverAILib.importing.phases_from_tags import from_description, from_tags, from_timing, unwrapped, with_order
from LiverAILib.study import Phase, PhaseOpinion

NC, ART, PV, DEL = Phase
DESCRIPTIONS = {
    NC: (
        "Plain 5mm STD", "non-contrast", "NON CON", "W/O", "Abd WITHOUT", "C-", "C- 5mm", "NC", "unenhanced liver",
        "NECT", "Pre-contrast", "pre", "Abdomen nativ 5.0 B30f", "Nativ", "Abdomen ohne KM", "KM-", "SANS IV",
        "sans injection",
        "Abdo SPC", "LIVER WO", "ABDO SANS INJ", "平扫", "上腹部平扫 5mm", "平掃", "単純",
    ),
    ART: (
        "ART", "ART 1.5", "Art_Phase_1mm", "art.", "Late arterial", "LATE ARTERIAL 35s", "CTA abdomen",
        "HAP", "Arterial Phase", "HEPATIC ARTERY", "Abd. arteriell 3.0", "spätarteriell", "ARTERIEL",
        "Temps artériel tardif", "动脉期",
        "增强动脉期", "动脉晚期", "動脈相", "Liver C+ ART",
    ),
    PV: (
        "PV", "PVP 2mm", "portal", "Portal venous phase", "VEN", "VEN 70s", "VENOUS", "5mm C+ PV", "Abd. portalvenös",
        "venös 3mm", "pv-phase", "Abdomen mit KM venös", "porto-veineux", "Temps portal", "phase veineuse",
        "门静脉期",
        "门脉期 1.25", "静脉期 1.5", "靜脈期", "門脈相", "AbdPel 70s",
    ),
    DEL: (
        "Delayed 5 min", "DELAY 180s", "DEL 3min", "LATE", "equilibrium", "Late venous", "Spätphase", "Spaetphase 5mm",
        "Gleichgewichtsphase", "Temps tardif", "équilibre", "延迟期", "延遲期", "平衡期", "平衡相",
        "Abd 3min", "延时扫描",
    ),
    None: ("", "Abdomen 5.0 B30f", "LIVER 3 PHASE ART/VEN", "C+", "AbdPel 5.0 CE", "Thorax", "start", "heart", "增强",
           "Party", "Abdomen mit KM", "contour", "Kidney native late"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "phase"), [(text, phase) for phase, texts in DESCRIPTIONS.items() for text in texts], ids=str
)
def test_description_names_the_phase(text: str, phase: Phase | None) -> None:
    opinion = from_description(text)
    assert opinion.phase is phase, opinion.reason
    assert (opinion.confidence > 0) == (phase is not None)


@pytest.mark.parametrize(
    ("injected", "acquired", "phase"),
    [
        (36000, 36035, ART),
        (36000, 36070, PV),
        (36000, 36180, DEL),
        (36000, 35900, NC),
        (86380, 20, ART),  # 23:59:40 to 00:00:20
        (86380, 50, PV),
        (10, 86300, NC),  # scanned before midnight, injected after
        (None, 36000, None),
        (36000, 50000, None),  # four hours: the tag is stale
    ],
)
def test_time_since_injection_over_midnight(injected: float | None, acquired: float, phase: Phase | None) -> None:
    assert from_timing(injected, acquired).phase is phase


def test_description_and_timing_together() -> None:
    both = from_tags(description="portal", injected_seconds=100, acquired_seconds=170)
    assert both.phase is PV
    assert both.confidence > 0.95
    against = from_tags(description="portal", injected_seconds=100, acquired_seconds=135)
    assert against.phase is PV
    assert against.confidence == 0.5
    assert "but it was acquired 35 s after the injection" in against.reason


def test_protocol_name_counts_little() -> None:
    opinion = from_tags(description="5mm STD", protocol="6.21 Dual Phase Liver LATE")
    assert opinion.phase is DEL
    assert opinion.confidence <= 0.4


def test_contrast_tag_weakens_a_plain_description() -> None:
    assert (
        from_tags(description="nativ", contrast_agent="Ultravist 370").confidence
        < from_tags(description="nativ").confidence
    )
    assert "contrast agent is tagged" in from_tags(description="Abdomen", contrast_agent="Ultravist 370").reason


def opinion(phase: Phase | None, confidence: float = 0.9) -> PhaseOpinion:
    return PhaseOpinion(phase, confidence if phase else 0.0, "said so")


def test_order_of_acquisition_fills_the_one_gap() -> None:
    result = with_order([opinion(ART), opinion(None), opinion(DEL)], [0, 40, 180])
    assert result[1].phase is PV
    assert result[1].confidence == 0.6


def test_order_of_acquisition_does_not_guess_between_two_phases() -> None:
    assert with_order([opinion(ART), opinion(None)], [0, 40])[1].phase is None


def test_order_of_acquisition_lowers_what_contradicts_it() -> None:
    result = with_order([opinion(PV), opinion(ART, 0.6)], [0, 40])
    assert result[1].confidence == pytest.approx(0.36)
    assert "against the order" in result[1].reason


def test_second_reconstruction_of_a_scan_shares_its_phase() -> None:
    result = with_order([opinion(ART), opinion(None), opinion(ART)], [0, 2, 60])
    assert result[1].phase is ART
    assert result[2] == opinion(ART)


def test_times_after_midnight_come_last_although_the_date_stands_still() -> None:
    midnight = datetime.fromisoformat("2026-01-02")
    late = [midnight + timedelta(hours=23, minutes=minutes) for minutes in (58, 59)]
    after = midnight + timedelta(minutes=1)
    assert unwrapped([*late, None, after]) == [0, 60, None, 180]
    assert unwrapped([late[0], after + timedelta(days=1)]) == [0, 180]


AFFINE = np.array([[PIXEL_MM, 0, 0, -160], [0, PIXEL_MM, 0, -160], [0, 0, STEP_MM, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(("look", "phase"), [("plain", NC), ("arterial", ART), ("portal", PV), ("delayed", DEL)])
def test_pixels_tell_the_phase(look: str, phase: Phase) -> None:
    found = measure(anatomy(look), AFFINE)
    from ct_builder import LOOKS

    assert (found.aorta, found.liver, found.spleen) == pytest.approx(LOOKS[look], abs=8)
    assert judge(found).phase is phase


@pytest.mark.parametrize("axes", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_orientation_of_the_array_does_not_matter(axes: tuple[int, ...], flips: tuple[int, ...]) -> None:
    array = np.transpose(anatomy("arterial"), axes)
    affine = np.eye(4)
    affine[:3, :3] = AFFINE[:3, [2 - axes[2], 2 - axes[1], 2 - axes[0]]]
    slices = tuple(slice(None, None, flip) for flip in flips)
    affine[:3, :3] *= flips[::-1]
    turned, _ = coarse(array[slices], affine)
    straight, _ = coarse(anatomy("arterial"), AFFINE)
    np.testing.assert_array_equal(turned, straight)


def test_pixels_without_a_liver_give_no_opinion() -> None:
    lungs = np.full((24, 80, 80), -800, np.int16)
    lungs[:, 20:60, 20:60] = 30
    lungs[:, 22:58, 22:58] = -800
    result = from_pixels(lungs, AFFINE)
    assert result.phase is None
    assert "not found" in result.reason


def test_low_kilovoltage_does_not_make_a_portal_scan_arterial() -> None:
    assert judge(Enhancement(220, 143, None, None, 1000)).phase is PV
    assert judge(Enhancement(220, 62, 110, None, 1000)).phase is ART


def test_fatty_liver_does_not_hide_the_portal_phase() -> None:
    assert judge(Enhancement(150, 60, 118, 160, 1000)).phase is PV


def test_excreted_contrast_makes_it_delayed() -> None:
    assert judge(Enhancement(115, 98, 100, 350, 1000)).phase is DEL
    assert judge(Enhancement(135, 105, 110, 150, 1000)).phase is PV


def test_ceiling_of_a_clipped_volume_is_allowed_for() -> None:
    assert judge(Enhancement(160, 70, 125, None, 160)).phase is ART
    assert judge(Enhancement(157, 110, 120, None, 160)).phase is PV


def test_agreement_adds_up() -> None:
    decision = decide({"tags": opinion(PV, 0.5), "pixels": opinion(PV, 0.5)})
    assert decision.phase is PV
    assert decision.confidence == 0.75


@pytest.mark.parametrize(
    ("tags", "pixels", "phase"),
    [
        (opinion(ART, 0.9), opinion(PV, 0.5), ART),
        (opinion(ART, 0.5), opinion(PV, 0.9), PV),
        (opinion(ART, 0.9), opinion(PV, 0.9), None),
        (opinion(ART, 0.6), opinion(PV, 0.7), None),
        (opinion(None), opinion(PV, 0.7), PV),
        (opinion(None), opinion(PV, 0.5), None),
        (opinion(ART, 0.6), opinion(None), ART),
        (opinion(None), opinion(None), None),
    ],
)
def test_one_opinion_wins_only_when_sure_against_unsure(
    tags: PhaseOpinion, pixels: PhaseOpinion, phase: Phase | None
) -> None:
    assert decide({"tags": tags, "pixels": pixels}).phase is phase


def test_overruled_opinion_is_told_to_the_user() -> None:
    assert "taken as arterial" in decide({"tags": opinion(ART, 0.9), "pixels": opinion(PV, 0.5)}).warning


def test_users_word_decides_and_strong_doubt_is_told() -> None:
    decision = decide({"user": opinion(ART, 1), "tags": opinion(PV), "pixels": opinion(PV, 0.95)})
    assert decision.phase is ART
    assert "named arterial by the user" in decision.warning
