"""`liverai demo`: a synthetic exam from DICOM to findings to a Slicer scene with pictures, and found against true."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverAILib.errors import StudyError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from LiverAILib.analysis.command import Parts
    from LiverAILib.export.run_folder import RunFolder
    from LiverAILib.study import Study

    ExamWriter = Callable[[Path, int], None]

#: An evaluation seed: no network was trained on it. Chosen by its truth alone, never by what a network finds: four
#: lesions of 1 ml or more, none atypical, and no streaks.
SEED = 1_000_001
LESIONS = ("hcc", "haemangioma", "cyst", "metastasis")
SHAPE, SPACING_MM = (60, 512, 512), (5.0, 0.75, 0.75)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `liverai demo`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo",
        help="a synthetic exam from DICOM to a Slicer scene",
        description="Write a synthetic three-phase exam as DICOM (or take your own study), analyse it, load the result "
        "into a Slicer scene, and save run folder, scene and pictures.",
    )
    parser.add_argument("--study", type=Path, metavar="PATH", help="your own study instead of the synthetic one")
    parser.add_argument("--phase", action="append", default=[], metavar="SERIES=PHASE", help="as for `liverai analyze`")
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: demo")
    parser.add_argument("--seed", type=int, default=SEED, help="another synthetic patient")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of model packages (default: bundled)")
    parser.add_argument("--no-pictures", action="store_true", help="leave out the pictures of Slicer's views")
    parser.add_argument("--verbose", action="store_true", help="log details and tracebacks on stderr")
    parser.set_defaults(run=run_demo)
    return parser


def run_demo(args: argparse.Namespace, *, write: ExamWriter | None = None, parts: Parts | None = None) -> int:
    """Run the demo. Each step says what it does; the second run finds the exam written already.

    write, parts: instead of `write_exam` and of the parts of the analysis, for tests.
    """
    from LiverAILib.child import stoppable

    with stoppable():
        begin = time.perf_counter()
        if args.study:
            run, study = _analyze(args, args.study, parts)
        else:
            exam = synthetic_exam(args.out, args.seed, write or write_exam)
            run, study = _analyze(args, exam / "dicom", parts)
            _say(found_against_true(run, exam))
        make_scene_if_possible(run, study, args.out / "scene", pictures=not args.no_pictures)
        _say(f"Done in {time.perf_counter() - begin:.0f} s. Research use only. Not for diagnosis.")
    return 0


def write_exam(folder: Path, seed: int) -> None:
    """Fill a folder with the exam of this seed: `dicom/`, `truth.json`, and the true liver and lesions."""
    import numpy as np

    from LiverAILib.export.nrrd import write_nrrd
    from LiverAILib.phantom import PhantomOptions, generate
    from LiverAILib.phantom.write import write_dicom

    options = PhantomOptions(shape=SHAPE, spacing_mm=SPACING_MM, lesions=LESIONS)
    phantom = generate(seed, options=options)
    write_dicom(phantom, folder / "dicom")
    reference = phantom.study.reference_phase
    affine = phantom.study.volumes[reference].affine
    write_nrrd(folder / "liver.nrrd", phantom.liver_mask(reference).astype(np.uint8), affine)
    write_nrrd(folder / "lesions.nrrd", phantom.lesion_ids[reference], affine)
    (folder / "truth.json").write_text(phantom.truth.model_dump_json(indent=2), encoding="utf-8")


def synthetic_exam(out: Path, seed: int, write: ExamWriter = write_exam) -> Path:
    """The folder of the exam with this seed, made by `write` if it is not there.

    Its name holds a digest of the phantom's source, so that a changed phantom makes a new one.
    """
    from LiverAILib.export.place import reserve

    folder = out / f"exam-{seed}-{_phantom_digest()}"
    if (folder / "truth.json").is_file():
        _step(f"Synthetic exam: already in {folder}")
        return folder
    _step(f"Writing a synthetic three-phase exam as DICOM into {folder}")
    with reserve(folder, overwrite=False, replaceable=lambda _: False) as place, _spinner("about half a minute"):
        place.fill(lambda temporary: write(temporary, seed), overwrite=False)
    return folder


def _phantom_digest() -> str:
    source = Path(__file__).resolve().parent / "phantom"
    digest = hashlib.sha256()
    for file in sorted(source.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def _analyze(args: argparse.Namespace, folder: Path, parts: Parts | None) -> tuple[RunFolder, Study]:
    from LiverAILib.analysis.command import analyze_to_folder, summary
    from LiverAILib.cli import build_parser

    _step("Analysing it")
    command = ["analyze", str(folder), "-o", str(args.out / "run"), "--overwrite"]
    command += [word for choice in args.phase for word in ("--phase", choice)]
    command += ["--models", str(args.models)] if args.models else []
    command += ["--verbose"] if args.verbose else []
    run, study = analyze_to_folder(build_parser(command).parse_args(command), stdout=sys.stdout, parts=parts)
    _say(summary(run))
    return run, study


@dataclass(frozen=True)
class TruthRow:
    """A true lesion and the found one that it overlaps best. `dice` is 0 without one."""

    title: str
    diameter_mm: float
    volume_ml: float
    found: str | None
    dice: float


def compare_lesions(
    found_ids: npt.NDArray[np.uint16],
    true_ids: npt.NDArray[np.uint16],
    names: dict[int, str],
    truth: Sequence[tuple[int, str, float]],
    voxel_ml: float,
) -> list[TruthRow]:
    """Each true lesion (id, title, diameter in mm) against the found ones, by the overlap rule of `evaluation`.

    found_ids, true_ids: labels (z, y, x) on one grid, 0 for none. names: of the found labels.
    """
    import numpy as np

    from LiverAILib.evaluation.overlap import dice, same_regions

    same = same_regions(found_ids, true_ids)
    rows = []
    for label, title, diameter in truth:
        mask = true_ids == label
        best: tuple[float, str | None] = (0.0, None)
        for other in np.unique(found_ids[mask]):
            if other == 0 or not same[other - 1, label - 1]:
                continue
            agreement = dice(found_ids == other, mask)
            if agreement > best[0]:
                best = (agreement, names.get(int(other), f"label {other}"))
        rows.append(TruthRow(title, diameter, int(mask.sum()) * voxel_ml, best[1], best[0]))
    return rows


def found_against_true(run: RunFolder, exam: Path) -> str:
    """The table that the demo prints. Raises StudyError when run and exam are not on one grid."""
    import numpy as np

    from LiverAILib.evaluation.overlap import dice
    from LiverAILib.export.nrrd import read_nrrd
    from LiverAILib.phantom.truth import PhantomTruth

    truth = PhantomTruth.model_validate_json((exam / "truth.json").read_text(encoding="utf-8"))
    true_liver, header = read_nrrd(exam / "liver.nrrd")
    true_ids, _ = read_nrrd(exam / "lesions.nrrd")
    liver, ids, affine = run.segmentation()
    if liver.shape != true_liver.shape or not np.allclose(affine, header.affine, atol=0.01):
        raise StudyError(
            f"The run is not on the grid of the exam in {exam}. Remove that folder and run the demo again."
        )
    lesions = [(lesion.id, lesion.type.full_name, lesion.diameter_mm) for lesion in truth.lesions]
    names = {lesion.label: lesion.name for lesion in run.findings.lesions}
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    rows = compare_lesions(ids, true_ids, names, lesions, voxel_ml)
    lines = [
        "Found against true (synthetic exam, n = 1):",
        f"  {'true lesion':<32}{'mm':>5}{'ml':>8}   {'found as':<12}{'Dice':>6}",
    ]
    lines += [
        f"  {row.title:<32}{row.diameter_mm:>5.0f}{row.volume_ml:>8.1f}   {row.found or 'not found':<12}"
        + (f"{row.dice:>6.2f}" if row.found else "")
        for row in rows
    ]
    matched = {row.found for row in rows}
    extra = [lesion for lesion in run.findings.lesions if lesion.name not in matched]
    lines += [f"  (none){'':<26}{lesion.diameter_mm:>5.0f}{lesion.volume_ml:>8.1f}   {lesion.name}" for lesion in extra]
    lines.append(f"  Liver Dice {dice(liver, true_liver > 0):.3f}")
    return "\n".join(line.rstrip() for line in lines)


def make_scene_if_possible(run: RunFolder, study: Study, out: Path, *, pictures: bool) -> None:
    """Write the scene and its pictures; without slicer-core say what to install and go on."""
    _step("Loading the result into a Slicer scene" + (" and taking pictures" if pictures else ""))
    try:
        from LiverAILib.scene.demo import make_scene
    except ModuleNotFoundError as error:
        if error.name not in ("slicer", "vtk"):
            raise
        _say("slicer-core is not installed, so there is no scene: pip install 'LiverAILib[scene]'")
        return
    with _spinner("a few seconds"):
        result = make_scene(run.path, study, out, pictures=pictures)
    _say(f"Scene for 3D Slicer: {result.scene_path}")
    for picture in result.pictures:
        _say(f"Picture: {picture}")
    if result.message:
        _say(result.message)


@contextlib.contextmanager
def _spinner(text: str) -> Iterator[None]:
    """Something that moves on a terminal, for steps that can't tell how far they are."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def _step(text: str) -> None:
    _say(f"\n== {text}")


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()
