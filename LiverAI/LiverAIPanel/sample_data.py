"""The phantom exam among Slicer's sample data: synthetic, made on this computer, nothing is downloaded."""

import logging

import slicer

from LiverAIPanel.words import phase_title, tr

log = logging.getLogger("LiverAI")

SEED = 1_000_001
SHAPE, SPACING_MM = (48, 256, 256), (6.0, 1.5, 1.5)
LESIONS = ("hcc", "haemangioma", "cyst", "metastasis")


def register(icon):
    """Add the exam to Slicer's Sample Data module, if that is there. icon: path of its picture."""
    if getattr(slicer.modules, "sampledata", None) is None:
        return
    import SampleData

    source = SampleData.SampleDataSource(
        sampleName="LiverAIPhantom",
        sampleDescription=tr("Synthetic three-phase liver CT"),
        category="LiverAI",
        thumbnailFileName=str(icon),
        customDownloader=lambda _source: list(make_exam(slicer.mrmlScene).values()),
    )
    sources = slicer.modules.sampleDataSources.setdefault("LiverAI", [])
    if all(one.sampleName != source.sampleName for one in sources):
        sources.append(source)


def make_exam(scene, seed=SEED, shape=SHAPE, spacing_mm=SPACING_MM, lesions=LESIONS):
    """Make the synthetic exam and put its volumes into a scene; about 10 s. Returns the nodes by phase."""
    from LiverAILib.phantom import PhantomOptions, generate
    from LiverAILib.scene.volumes import add_volume

    exam = generate(seed, options=PhantomOptions(shape=shape, spacing_mm=spacing_mm, lesions=lesions))
    return {
        phase: add_volume(scene, volume, f"Phantom {phase_title(phase).lower()}")
        for phase, volume in exam.study.volumes.items()
    }
