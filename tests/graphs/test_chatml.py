"""ChatML ids by a toy tokenizer: what the real ones do with special tokens, and a number for each letter."""

import re

import pytest

from graphs.conversation import ImageRef, Text, Turn
from graphs.policies.chatml import ChatML
from tools.errors import PolicyError

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"]


def encode(text: str) -> list[int]:
    pieces = re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text)
    return [
        token
        for piece in pieces
        for token in ([SPECIAL.index(piece)] if piece in SPECIAL else [100 + ord(letter) for letter in piece])
    ]


def test_a_picture_takes_a_token_for_each_cell():
    chatml = ChatML(encode, cell=8)
    turn = Turn("user", (Text("a"), ImageRef("0" * 64, 24, 16), Text("b")))
    ids = chatml.encode_turn(turn)
    assert ids.count(chatml.image_pad) == 6
    assert chatml.encode([turn]).ids[: len(ids)] == ids


def test_an_image_token_in_a_text_is_refused_and_never_waited_for():
    chatml = ChatML(encode, cell=8)
    picture = ImageRef("0" * 64, 8, 8)
    for parts in ((Text("x <|image_pad|>"),), (Text("<|image_pad|>"), picture), (picture, Text("<|image_pad|>"))):
        with pytest.raises(PolicyError, match="image token"):
            chatml.encode_turn(Turn("user", parts))
