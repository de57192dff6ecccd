"""Vocabularies, reasons, alignment and composed phrases: formats as published, and none of the published defects."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from vocabulary_stubs import VOCABULARY, Script, ToyEmbedder

from graphs.openvocab import Vocabulary, read_vocabulary
from graphs.openvocab.aligner import ClassAligner
from graphs.openvocab.composer import PhraseRows, compose, score_classes
from graphs.openvocab.generic import generic_path, reason_classes
from graphs.openvocab.reasons import ClassReason, read_generic_reasons, read_image_reasons
from graphs.openvocab.replies import read_boxes, read_class_reason, read_description, read_names, read_reasons
from tools.classifiers.base import Rows
from tools.errors import InputError, PolicyError


def test_the_published_class_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("0:invalid_class_id\n1:aeroplane, airplane,plane\n\n7: potted plant,pottedplant\n")
    vocabulary = read_vocabulary(path, stuff=["potted plant"])
    assert [(c.id, c.names, c.thing) for c in vocabulary.classes] == [
        (1, ("aeroplane", "airplane", "plane"), True),
        (7, ("potted plant", "pottedplant"), False),
    ]
    assert vocabulary.places["plane"] == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [("1:cat\nno colon\n", "line 2"), ("1: ,\n", "line 1"), ("0:invalid\n", "no class"), ("1:a\n1:b\n", "one id")],
)
def test_a_broken_class_list_says_where(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(InputError, match=told):
        read_vocabulary(tmp_path / "names.txt")


def test_published_reason_files_are_read(tmp_path: Path) -> None:
    generic = {
        "Bike": {"raw_response": "…", "general_category": "vehicle", "class_des": ["two wheels", "frame"]},
        "x": {},
    }
    (tmp_path / "g.json").write_text(json.dumps(generic))
    found = read_generic_reasons(tmp_path / "g.json", VOCABULARY)
    assert found == {1: ClassReason("vehicle", "", ("two wheels", "frame"))}
    image = {"reasoning": {"map_class_reason": {"bicycle,bike": {"reason3": ["blue", "blue", "thin"]}}}}
    (tmp_path / "i.json").write_text(json.dumps(image))
    reasons = read_image_reasons(tmp_path / "i.json")
    aligned, _ = ClassAligner(VOCABULARY, ToyEmbedder()).align(list(reasons.candidates))
    assert [(a.place, reasons.candidates[a.name].attributes) for a in aligned] == [(1, ("blue", "thin"))]
    (tmp_path / "i.json").write_text('{"map_class_reason": {}}')
    with pytest.raises(InputError, match="no reasoning"):
        read_image_reasons(tmp_path / "i.json")


def test_the_aligner_reports_what_it_would_have_to_force() -> None:
    aligner = ClassAligner(VOCABULARY, ToyEmbedder(), threshold=0.65)
    found, unaligned = aligner.align(["Fruit", "cycle", "dragon", "walls"])
    assert [(a.name, a.place) for a in found] == [("Fruit", 0), ("cycle", 1), ("walls", 2)]
    assert [round(a.likeness, 1) for a in found] == [1.0, 0.7, 1.0]
    assert unaligned == ["dragon"]
    assert ClassAligner(VOCABULARY, ToyEmbedder(), threshold=0.75).align(["cycle"]) == ([], ["cycle"])


class WordAxes:
    """Each word of `axes` is an axis: what a vector was averaged from can be read off it."""

    name = "axes"
    scale = 1.0
    axes = ("t1", "t2", "apple", "fruit", "bicycle", "bike", "red", "round", "blue")

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        return np.array([[float(axis in text.split()) for axis in self.axes] for text in texts], np.float32)

    def encode_masks(self, image: object, masks: Sequence[object]) -> Rows:
        raise NotImplementedError


def test_templates_are_averaged_within_one_attribute_and_the_bare_name_stays() -> None:
    """The published order of rows mixes all attributes of a name into each averaged vector."""
    reasons = {0: ClassReason(attributes=("red", "round"))}
    phrases = compose(VOCABULARY, reasons, {})
    assert [p.text for p in phrases if p.place == 0] == [
        "apple", "apple that has red", "apple that has round",
        "fruit", "fruit that has red", "fruit that has round",
    ]  # fmt: skip
    rows = PhraseRows(WordAxes(), ("t1 {}", "t2 {}")).rows(phrases)
    for phrase, row in zip(phrases, rows, strict=True):
        seen = {axis for axis, value in zip(WordAxes.axes, row, strict=True) if value > 0}
        assert seen - {"t1", "t2"} == set(phrase.text.split()) & set(WordAxes.axes)
        assert {"t1", "t2"} <= seen
        assert np.linalg.norm(row) == pytest.approx(1.0)


def test_synonyms_are_pooled_within_their_class_and_apart_from_attributes() -> None:
    """The published reshape takes rows of synonyms for rows of attributes."""
    vocabulary = Vocabulary.of(["a1, a2", "b1"])
    phrases = compose(vocabulary, {}, {0: ClassReason(attributes=("x", "y")), 1: ClassReason(attributes=("x",))})
    order = {(p.place, p.text): number for number, p in enumerate(phrases)}
    one_hot = np.eye(len(phrases), dtype=np.float32)
    values = {(0, "a1"): 1.0, (0, "a2"): 3.0, (0, "a1 that has x"): 9.0, (0, "a2 that has y"): 6.0, (1, "b1"): 4.0}
    values[0, "a2 that has x"] = 8.0  # the wrong reshape would make three groups of two: 9, 3 and 8
    mask = np.zeros((1, len(phrases)), np.float32)
    for key, value in values.items():
        mask[0, order[key]] = value
    scores = score_classes(mask, one_hot, phrases, 2, scale=2.0)
    # Class a: best synonym of each slot (3, 9, 6), averaged; class b has two slots (4, 0).
    np.testing.assert_allclose(scores, [[2 * (3 + 9 + 6) / 3, 2 * (4 + 0) / 2]])


def test_attributes_of_the_picture_come_before_generic_ones() -> None:
    generic = {0: ClassReason(attributes=("green",)), 1: ClassReason(attributes=("two wheels", "frame"))}
    phrases = compose(VOCABULARY, {0: ClassReason(attributes=("red",))}, generic, most=1)
    texts = {p.text for p in phrases}
    assert {"apple that has red", "bike that has two wheels", "wall"} <= texts
    assert not any("green" in text or "frame" in text for text in texts)


def test_phrases_are_encoded_once() -> None:
    class Counting(WordAxes):
        encoded = 0

        def encode_texts(self, texts: Sequence[str]) -> Rows:
            self.encoded += len(texts)
            return super().encode_texts(texts)

    encoder = Counting()
    rows = PhraseRows(encoder, ("{}",))
    first = rows.rows(compose(VOCABULARY, {}, {}))
    again = rows.rows(compose(VOCABULARY, {0: ClassReason(attributes=("red",))}, {}))
    assert encoder.encoded == 5 + 2
    np.testing.assert_array_equal(again[0], first[0])


async def test_generic_reasons_are_kept_class_by_class_and_gone_on_with(tmp_path: Path) -> None:
    path = generic_path(tmp_path, VOCABULARY, "../../policy")
    assert path.parent == tmp_path
    good = '{"general_category": "thing", "sub_category": "", "attributes": ["round", "shiny"]}'

    class Failing(Script):
        async def complete(self, turns, images, **more):  # type: ignore[no-untyped-def]
            if len(self.asked) == 2:
                raise PolicyError("the server is gone.", remedy="Start it.")
            return await super().complete(turns, images, **more)

    with pytest.raises(PolicyError):
        await reason_classes(Failing(generic=["what?", good]), VOCABULARY, path)
    assert list(json.loads(path.read_text())) == ["apple"]
    policy = Script(generic="[thing]\n[kind]\n[round, shiny]")
    problems: list[tuple[str, str]] = []
    found = await reason_classes(policy, VOCABULARY, path, on_class=lambda *told: problems.append(told))
    assert [text for _, text, _ in policy.asked if "Class: apple" in text] == []
    assert problems == [("bicycle", ""), ("wall", "")]
    assert found == read_generic_reasons(path, VOCABULARY)
    assert found[2] == ClassReason("thing", "kind", ("round", "shiny"))
    assert json.loads(path.read_text())["wall"]["raw_response"] == "[thing]\n[kind]\n[round, shiny]"


def test_replies_are_read_as_models_write_them() -> None:
    assert read_description("A wall, and a bike.") == "A wall, and a bike."
    assert read_names('Sure!\n```json\n{"classes": ["bike", "wall",]}\n```') == ["bike", "wall"]
    assert read_names("['bike']") == ["bike"]
    keyed = read_reasons('{"bike": {"general_category": "v", "attributes": "thin, blue"}}')
    assert keyed == {"bike": ClassReason("v", "", ("thin", "blue"))}
    assert read_reasons('[{"class": "bike", "attributes": ["thin"]}]')["bike"].attributes == ("thin",)
    assert read_class_reason("A1: [vehicle]\nA2: [cycle]\nA3: [thin, blue]").attributes == ("thin", "blue")
    assert read_boxes('{"boxes": [[0, 0, 500, 1200], [9, 9, 9, 9]]}') == [(0.0, 0.0, 0.5, 1.0)]
    assert read_boxes(f"[[-1, 0, 500, {10**400}], [NaN, 0, 1, 1], [0, 0, 1e999, 9{'9' * 320}.5]]") == [
        (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 1.0, 1.0),
    ]  # fmt: skip
    assert read_boxes('[{"bbox_2d": [100, 0, 500, 1000], "label": "x"}]') == [(0.1, 0.0, 0.5, 1.0)]
    for read in (read_names, read_reasons, read_class_reason, read_boxes):
        with pytest.raises(ValueError, match=r"."):
            read("__import__('os').system('true')")
