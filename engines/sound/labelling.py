"""What the user says about names, applied to the sources of a scene: rules first, then the nouns of a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from engines.camera import Camera
from engines.sound.naming import LabelRule, apply_label_rules, assign_prompt, labels_from_prompt
from engines.specs import Source


class Labeller:
    """Gives each source the name that its user wants; a source keeps what a prompt once gave it.

    Args:
        rules: in order; the first that matches wins.
        prompt: free text; its sounding nouns are dealt out to the sources that no rule names.
    """

    def __init__(self, rules: Sequence[LabelRule] = (), prompt: str = "") -> None:
        self._rules = tuple(rules)
        self._names = labels_from_prompt(prompt)
        self._given: dict[int, int] = {}
        self._count = 0

    def __call__(self, source: Source, camera: Camera) -> str:
        """The name of a source."""
        label = source.label
        if self._rules and source.region is not None:
            x0, y0, x1, y1 = source.region.box_px
            named = apply_label_rules(
                self._rules,
                label=label,
                box_frac=(
                    x0 / camera.width_px,
                    y0 / camera.height_px,
                    x1 / camera.width_px,
                    y1 / camera.height_px,
                ),
                distance_m=source.distance_m,
                speed_m_s=source.motion.speed_m_s,
                energy=source.motion.energy,
                source_id=source.source_id,
            )
            if named != label:
                return named
        return self._from_prompt(source) if self._names else label

    def _from_prompt(self, source: Source) -> str:
        index = self._given.get(source.source_id)
        if index is None:
            uses = [list(self._given.values()).count(i) for i in range(len(self._names))]
            index = assign_prompt(self._names, uses, shape=source.label, motion=source.motion, source_index=self._count)
            self._given[source.source_id] = index
            self._count += 1
        if source.phase == "out":
            # What has left makes room for the next of its kind.
            self._given.pop(source.source_id, None)
            return self._names[index]
        return self._names[index]
