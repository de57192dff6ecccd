"""One object on its way through a clip: where it should be, whether what was found is it, and what that teaches."""

from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np

from tools.image_store import Image
from tools.segmenters.appearance import Appearance
from tools.segmenters.base import Box, Mask, Segment
from tools.segmenters.motion import Flow, Vector
from tools.segmenters.outline import Outline
from tools.segmenters.prompts import box_of

ENLARGE = 1.06
"""The prompt box is this much larger than the last size: motion is never exactly known."""

LIKE, BACK = 0.70, 0.80
"""Colours must agree this much with memory to be the object; BACK when it has been out of sight."""

WHOLE = 0.75
"""At this part of its usual area an object counts as fully visible; below, its size and centre are not learnt."""

SMALLEST, LARGEST = 0.08, 2.2
"""Area, in parts of the usual, outside which it cannot be the object (the first is a sliver at an occluder's edge)."""

RETURNED, WHOLE_OUTLINE = 0.6, 0.8
"""Outlines must agree this much to believe that a lost object came back somewhere else; that a view holds just it."""

GROWN = 1.3
"""No object becomes this much larger, in area, from one frame to the next."""

INSIDE, SLACK = 0.85, 0.03
"""A view whose outline is another must lie, to this part, within the remembered one, widened by SLACK of its size."""

AREA_WEIGHT = 0.3
"""How much agreement of area counts beside that of colours when several prompts found something."""

SPEED_MEMORY = 0.5
RIVAL_OVERLAP = 0.6


@dataclass(frozen=True)
class View:
    """A believable sighting: the segment, its box, how much it looks like the object, and its part of usual area.

    `cut` says that the segmenter had taken more than the object, and that this is what was left after cutting.
    """

    segment: Segment
    box: Box
    likeness: float
    part: float
    cut: bool = False

    def is_beaten_by(self, rival: Self) -> bool:
        """Tell whether a rival track claims mostly the same pixels with better right."""
        one, other = self.segment.mask, rival.segment.mask
        overlap = float((one & other).sum()) / max(1.0, float((one | other).sum()))
        return overlap > RIVAL_OVERLAP and rival.likeness > self.likeness


class Track:
    """State of one object; positions and speeds in pixels of the frame, one step per frame."""

    def __init__(self, image: Image, segment: Segment) -> None:
        """Start from the keyframe's segment; an empty mask makes a track that stays empty."""
        self.velocity: Vector = np.zeros(2)
        self._mask: Mask = segment.mask
        self._empty = np.zeros_like(segment.mask)
        self._lost = 0
        self._hidden = False
        box = box_of(segment.mask)
        self._alive = box is not None
        if box is not None:
            self._centre, self._size = _centre_size(box)
            self._seen = box
            self._flowed: Vector | None = None
            self._area = float(np.count_nonzero(segment.mask))
            self._appearance = Appearance(image, segment.mask)
            self._outline = Outline(segment.mask)

    def copy(self) -> Self:
        """Return an independent track in the same state."""
        twin = copy(self)
        if self._alive:
            twin._appearance = copy(self._appearance)
        return twin

    def predict(self, flow: Flow) -> None:
        """Move the expected place by the last speed, and by the object's own flow where that says something else."""
        if not self._alive:
            return
        step = None if self._hidden else flow.of(self._mask)
        self._flowed = None
        if step is not None:
            agree = np.abs(step - self.velocity).max() <= 0.1 * self._size.min()
            if agree or not np.any(self.velocity):
                self.velocity = step
            else:
                self._flowed = self._centre + step
        height, width = self._empty.shape
        # Out of sight it may wait at the border, but not wander off for ever.
        slack = self._size / 2
        self._centre = np.clip(self._centre + self.velocity, -slack, np.array([width, height]) + slack)
        if self._lost == 0:
            x1, y1, x2, y2 = self._seen
            dx, dy = self.velocity.tolist()
            self._seen = x1 + dx, y1 + dy, x2 + dx, y2 + dy

    def candidates(self, image: Image) -> list[Box]:
        """Return the boxes to try on this frame, clipped to it; none where the object is out of the frame."""
        if not self._alive:
            return []
        centres = [self._centre] + ([self._flowed] if self._flowed is not None else [])
        if self._lost:
            last, _ = _centre_size(self._seen)
            reach = float(self._size.max() + self._lost * (1.5 * np.hypot(*self.velocity) + 0.02 * max(image.shape)))
            found = self._appearance.find(image, self._size, last, reach)
            centres += [found] if found is not None else []
        boxes = [_box(centre, self._size * ENLARGE) for centre in centres]
        if self._hidden:  # the whole box also holds the occluder: ask for the part that was last to be seen, too
            boxes.append(self._seen)
        height, width = image.shape[:2]
        clipped = [
            (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))) for x1, y1, x2, y2 in boxes
        ]
        return [box for box in clipped if box[2] - box[0] >= 2 and box[3] - box[1] >= 2]

    def best(self, image: Image, offers: list[Segment]) -> View | None:
        """Return the offer that most agrees in colours and area with the object, None if none does."""
        views = [view for offer in offers if (view := self._view(image, offer)) is not None]
        return max(views, key=lambda view: view.likeness + AREA_WEIGHT * min(view.part, 1 / view.part), default=None)

    def accept(self, image: Image, view: View | None) -> Segment:
        """Learn from a sighting, or coast without one; returns the segment to report."""
        if view is None:
            self._hidden = True
            self._lost += 1
            return Segment(self._empty, 0.0)
        centre, size = _centre_size(view.box)
        returned = self._lost > 0
        self._seen, self._lost, self._hidden = view.box, 0, view.part < WHOLE or view.cut
        if not self._hidden:
            error = centre - self._centre
            # Back after a while: where it is now says nothing of its speed.
            self.velocity = np.zeros(2) if returned else self.velocity + (1 - SPEED_MEMORY) * error
            self._centre, self._size = centre, 0.5 * self._size + 0.5 * size
            self._area = 0.7 * self._area + 0.3 * float(np.count_nonzero(view.segment.mask))
            self._appearance.learn(image, view.segment.mask)
            self._outline = Outline(view.segment.mask)
        elif not view.cut:  # where a cut was made says nothing of the object's place
            # Partly hidden: what is seen lies within the whole, whose size is remembered.
            slack = np.maximum(self._size - size, 0) / 2
            self._centre = np.clip(self._centre, centre - slack, centre + slack)
        self._mask = view.segment.mask
        return view.segment

    def _view(self, image: Image, offer: Segment) -> View | None:
        """Judge one offer; None if it cannot be the object."""
        offer, cut = self._cut_back(offer)
        box = box_of(offer.mask)
        if box is None:
            return None
        part = float(np.count_nonzero(offer.mask)) / self._area
        alike = self._appearance.likeness(image, offer.mask)
        if alike < (BACK if self._lost else LIKE) or not SMALLEST <= part <= LARGEST:
            return None
        centre, _ = _centre_size(box)
        elsewhere = np.abs(centre - self._centre).max() > self._size.max()
        if self._lost and elsewhere and (part < WHOLE or self._outline.likeness(offer.mask) < RETURNED):
            return None
        return View(offer, box, alike, part, cut)

    def _cut_back(self, offer: Segment) -> tuple[Segment, bool]:
        """Take from an offer that grew into a neighbour what is not within the outline at its expected place."""
        area = np.count_nonzero(offer.mask)
        whole = area < GROWN * self._area and self._outline.likeness(offer.mask) > WHOLE_OUTLINE
        if self._lost or not area or whole:
            return offer, False
        kept = offer.mask & self._outline.placed(self._centre, offer.mask.shape, SLACK)
        if np.count_nonzero(kept) > INSIDE * area:
            return offer, False
        return Segment(kept, offer.score), True


def _centre_size(box: Box) -> tuple[Vector, Vector]:
    x1, y1, x2, y2 = box
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2]), np.array([x2 - x1, y2 - y1])


def _box(centre: Vector, size: Vector) -> Box:
    (x1, y1), (x2, y2) = centre - size / 2, centre + size / 2
    return float(x1), float(y1), float(x2), float(y2)
