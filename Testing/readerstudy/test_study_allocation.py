"""Who reads what when: balanced per reader, stratum and case, and the same from the same seed."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_builder import protocol

from LiverAILib.readerstudy.allocation import Slot, allocate, pseudonyms, shuffled
from LiverAILib.readerstudy.protocol import Protocol

STRATA = ("hcc", "cyst", "no lesion", "icc")


def plan(
    readers: int, strata: list[str], training: int = 0, seed: int = 1, **changes: str
) -> tuple[dict[str, list[Slot]], dict[str, str]]:
    values = protocol(seed=seed, readers=[{"code": f"R{number}"} for number in range(readers)], **changes)
    named = {f"C{number:03d}": stratum for number, stratum in enumerate(strata)}
    practice = [f"T{number:03d}" for number in range(training)]
    return allocate(Protocol.model_validate(values), named, practice), named


studies = st.tuples(
    st.integers(1, 7), st.lists(st.sampled_from(STRATA), min_size=1, max_size=30), st.integers(0, 2**40)
)


@settings(max_examples=60, deadline=None)
@given(studies)
def test_every_reader_reads_every_case_once_in_either_arm_and_period(study: tuple[int, list[str], int]) -> None:
    readers, strata, seed = study
    allocation, named = plan(readers, strata, seed=seed)
    for slots in allocation.values():
        assert sorted((slot.case, slot.period) for slot in slots) == [(case, p) for case in named for p in (1, 2)]
        assert len({(slot.case, slot.arm) for slot in slots}) == 2 * len(named)
        assert [slot.period for slot in slots] == [1] * len(named) + [2] * len(named)


@settings(max_examples=60, deadline=None)
@given(studies)
def test_the_order_of_the_arms_is_balanced_per_reader_stratum_and_case(study: tuple[int, list[str], int]) -> None:
    readers, strata, seed = study
    allocation, named = plan(readers, strata, seed=seed)
    per_case: Counter[str] = Counter()
    for slots in allocation.values():
        per_stratum: Counter[str] = Counter()
        for slot in slots:
            if slot.period == 1:
                sign = 1 if slot.arm == "assisted" else -1
                per_stratum[named[slot.case]] += sign
                per_case[slot.case] += sign
        assert all(abs(difference) <= 1 for difference in per_stratum.values())
        assert abs(sum(per_stratum.values())) <= 1
    assert all(abs(per_case[case]) <= readers % 2 for case in named)


@settings(max_examples=30, deadline=None)
@given(studies)
def test_the_seed_alone_decides(study: tuple[int, list[str], int]) -> None:
    readers, strata, seed = study
    assert plan(readers, strata, seed=seed) == plan(readers, strata, seed=seed)


def test_readers_have_orders_of_their_own_that_differ_between_periods() -> None:
    allocation, _ = plan(4, ["hcc", "cyst"] * 10)
    orders = {
        tuple(slot.case for slot in slots if slot.period == period)
        for slots in allocation.values()
        for period in (1, 2)
    }
    assert len(orders) == 8
    assert plan(4, ["hcc", "cyst"] * 10, seed=2)[0] != allocation


def test_arms_may_come_in_blocks() -> None:
    allocation, _ = plan(2, ["hcc"] * 6, arm_order="blocks")
    begins = []
    for slots in allocation.values():
        for period in (1, 2):
            arms = [slot.arm for slot in slots if slot.period == period]
            assert arms == sorted(arms, key=lambda arm: arm != arms[0])
            begins.append(arms[0])
    assert sorted(begins) == ["assisted", "assisted", "unassisted", "unassisted"]


def test_training_comes_first_in_either_arm() -> None:
    allocation, _ = plan(3, ["hcc"] * 4, training=2)
    for slots in allocation.values():
        assert [slot.training for slot in slots] == [True] * 2 + [False] * 8
        assert {slot.arm for slot in slots[:2]} == {"assisted", "unassisted"}


def test_the_sequential_design_asks_again_right_after() -> None:
    allocation, named = plan(2, ["hcc", "cyst", "icc"], training=1, design="sequential")
    for slots in allocation.values():
        assert len(slots) == 8
        for first, second in zip(slots[::2], slots[1::2], strict=True):
            assert first.case == second.case
            assert (first.arm, second.arm) == ("unassisted", "assisted")
            assert (first.period, second.period) == (1, 2)
        assert {slot.case for slot in slots[2:]} == set(named)


def test_pseudonyms_tell_nothing_of_names_or_order() -> None:
    names = [(f"hcc {number}", False) for number in range(30)] + [("practice", True)]
    ids = pseudonyms(names, 5)
    assert sorted(ids.values()) == [f"C{number:03d}" for number in range(1, 31)] + ["T001"]
    assert [ids[name] for name, _ in names] != sorted(ids.values())
    assert ids == pseudonyms(names[::-1], 5)


@pytest.mark.parametrize(("seed", "expected"), [(1, "acbd"), (2, "adcb")])
def test_orders_are_those_that_any_other_program_gets(seed: int, expected: str) -> None:
    """Sorted by `printf SEED/order/ITEM | sha256sum`."""
    assert "".join(shuffled("abcd", seed, "order")) == expected
