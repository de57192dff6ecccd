"""What labels frames of Emblems: the shipped models, and words learnt from pictures.

What takes CLIP's place is learnt in closed form from the knowledge base's pictures and captions; no weights but the two
shipped models are used.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from evals.emblems.backgrounds import COUNT, background
from evals.emblems.frames import VOCABULARY
from evals.emblems.knowledge import emblem_picture
from evals.emblems.world import World, make_world
from graphs.openvocab import OpenVocabularyContext, Settings
from graphs.openvocab.aligner import ClassAligner
from graphs.openvocab.composer import PhraseRows
from graphs.openvocab.dialects import ListingReasoning, ReasoningDialect
from graphs.openvocab.fusion import PresencePrior
from graphs.policies.base import Policy
from tools.classifiers.captioned import CaptionedEncoder, CaptionedMask
from tools.embedders import load_embedder
from tools.segmenters.automatic import Proposals, propose_masks
from tools.segmenters.base import Segmenter
from tools.segmenters.sam2 import Sam2Segmenter

_TILES = 3
_TILE = 448 // _TILES
_PICTURE = 128
PROPOSALS = Proposals(points=10, score=0.8)
PRIOR = PresencePrior(weight=2.0)
"""Grid, score and weight were chosen on eight frames of seed 7."""
_GROUND = 6
"""Pixels of an emblem's picture that differ by more from its even ground belong to the emblem."""


def empty_pictures(segmenter: Segmenter, number: int) -> Iterator[CaptionedMask]:
    """Yield what a segmenter cuts out of `number` backgrounds on which there is nothing."""
    for picture in map(background, range(number)):
        yield CaptionedMask(picture, np.ones(picture.shape[:2], np.bool_), "background")
        for segment in propose_masks(segmenter, picture, PROPOSALS):
            yield CaptionedMask(picture, segment.mask, "background")


def captioned_pictures(world: World, number: int) -> Iterator[CaptionedMask]:
    """Yield the first `number` emblem pictures of a world with their captions, nine on a sheet."""
    per_sheet = _TILES * _TILES
    for start in range(0, number, per_sheet):
        sheet = background(start // per_sheet % COUNT).copy()
        masks = []
        for tile, team in enumerate(range(start, min(start + per_sheet, number))):
            picture = emblem_picture(world, team, _PICTURE)
            top, left = (v * _TILE + (_TILE - _PICTURE) // 2 for v in divmod(tile, _TILES))
            window = slice(top, top + _PICTURE), slice(left, left + _PICTURE)
            sheet[window] = picture
            mask = np.zeros(sheet.shape[:2], np.bool_)
            mask[window] = (np.abs(picture.astype(int) - picture[0, 0]) > _GROUND).any(axis=2)
            masks.append(CaptionedMask(sheet, mask, world.teams[team].emblem.phrase))
        yield from masks


def make_context(
    policy: Policy | None,
    seed: int,
    segmenter: Sam2Segmenter,
    *,
    pictures: int,
    empty: int,
    dialect: ReasoningDialect | None = None,
) -> OpenVocabularyContext:
    """Return the context of all frames; words are learnt from `pictures` of teams, and `empty` backgrounds.

    `dialect` is by default that of the policy that ships.
    """
    world = make_world("test", seed, pictures)
    examples = chain(captioned_pictures(world, pictures), empty_pictures(segmenter, empty))
    encoder = CaptionedEncoder(segmenter, examples)
    return OpenVocabularyContext(
        vocabulary=VOCABULARY,
        aligner=ClassAligner(VOCABULARY, load_embedder("hashing"), threshold=0.9),
        segmenter=segmenter,
        encoder=encoder,
        # Templates are sentences for CLIP; here a text is the words in it.
        rows=PhraseRows(encoder, ("{}",)),
        policy=policy,
        dialect=dialect or ListingReasoning(),
        settings=Settings(proposals=PROPOSALS, prior=PRIOR, certain=frozenset({"background"}), rest=False),
    )
