"""Published worked answers as training rows: the picture and what was asked, then the answer, which is learnt."""

from collections.abc import Sequence
from math import sqrt
from typing import overload

import cv2

from graphs.conversation import ImageRef, Text, Turn
from graphs.policies.chatml import ChatML
from rl.rows import TrainingRow
from rl.stream import to_stream
from rl.tasks.fcot import DemonstrationTask, FCoTSource
from tools.image_store import Image, ImageStore


class DemonstrationRows(Sequence[TrainingRow]):
    """Rows that are made when they are asked for, since a whole set's pictures do not fit into memory.

    Pictures have at most `most_pixels` pixels.
    """

    def __init__(self, source: FCoTSource, chatml: ChatML, most_pixels: int) -> None:
        self._source, self._chatml, self._most = source, chatml, most_pixels

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> TrainingRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrainingRow]: ...
    def __getitem__(self, index: int | slice) -> TrainingRow | list[TrainingRow]:
        """Return a row, or some; IndexError beyond the last."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return to_training_row(self._source[index], self._chatml, self._most)


def to_training_row(task: DemonstrationTask, chatml: ChatML, most_pixels: int) -> TrainingRow:
    """Return a demonstration as the one turn of a policy that sampled exactly this text."""
    images = ImageStore()
    picture = fit(task.image, chatml.cell, most_pixels)
    shown = ImageRef(images.put(picture), picture.shape[1], picture.shape[0])
    spoken = (*chatml.encode_text(task.target), chatml.end_of_turn)
    answer = Turn("assistant", (Text(task.target),), spoken, (0.0,) * len(spoken))
    system = (Turn("system", (Text(task.system),)),) if task.system else ()
    turns = (*system, Turn("user", (shown, Text(task.prompt))), answer)
    return TrainingRow(to_stream(chatml, turns), 1.0, {}, task.target, images.get, {})


def fit(image: Image, cell: int, most_pixels: int) -> Image:
    """Resize an RGB picture, uint8 (height, width, 3), to whole cells within `most_pixels`, nearly in its own shape."""
    height, width = image.shape[:2]
    scale = min(1.0, sqrt(most_pixels / (height * width)))
    rows, columns = (max(1, int(side * scale) // cell) * cell for side in (height, width))
    resized: Image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    return resized
