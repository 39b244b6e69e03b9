"""The report's pictures from what the scene holds: its volumes and its segments, the reader's included."""

from __future__ import annotations

from collections.abc import Sequence

from LiverAILib.export.report_pictures import jpeg, lesion_picture
from LiverAILib.export.seg_nrrd import lesion_colour
from LiverAILib.opinions import ReadLesion
from LiverAILib.scene.segmentation import segment_ids, segment_mask
from LiverAILib.scene.shown import ShownRun
from LiverAILib.scene.volumes import node_affine, node_array
from LiverAILib.study import Source, Volume


def lesion_pictures(shown: ShownRun, lesions: Sequence[ReadLesion]) -> dict[str, bytes]:
    """A JPEG by lesion id; none where the reference phase's volume was removed from the scene."""
    reference = shown.reference
    if reference is None:
        return {}
    volumes = {}
    for phase, node in shown.volumes.items():
        array = node_array(node)
        narrow = array.dtype if array.dtype in ("int16", "float32") else "float32"
        volumes[phase] = Volume(array.astype(narrow, copy=False), node_affine(node), Source("scene", "scene"))
    there = set(segment_ids(shown.segmentation))
    affine = node_affine(reference)
    return {
        one.lesion.id: jpeg(
            lesion_picture(
                one.lesion,
                volumes,
                segment_mask(shown.segmentation, one.lesion.id, reference),
                affine,
                lesion_colour(one.lesion.label),
            )
        )
        for one in lesions
        if one.lesion.id in there
    }
