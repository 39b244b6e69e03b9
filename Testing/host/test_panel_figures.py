"""The panel is quick: its figures on a smaller exam, with room for a busy test machine."""

from pathlib import Path

from conftest_host import needs_posix

#: How much slower than the goal a busy machine may be.
ROOM = 3.0


@needs_posix
def test_the_panel_opens_reads_and_switches_quickly(tmp_path: Path) -> None:
    from panel_figures import measure

    figures = measure(tmp_path, shape=(24, 160, 160))
    assert figures.open_panel < ROOM * 0.5, figures.text()
    assert figures.longest_block < ROOM * 0.1, figures.text()
    assert figures.result < ROOM * 2.0, figures.text()
    assert figures.switch < ROOM * 0.1, figures.text()
