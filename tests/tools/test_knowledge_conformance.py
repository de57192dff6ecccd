"""Seg-ReSearch's own knowledge base and recorded searches (arXiv 2602.04454), where they are at hand.

The recorded choices are e5's; ours are made by BM25 and hashing, so only overlap is asked for, not equality.
"""

import json
import re
from collections.abc import Callable
from functools import cache

import numpy as np
from shared_data import SHARED, needs_shared

from tools.embedders.base import Vectors
from tools.knowledge import KnowledgeBase
from tools.search.knowledge_base import SNIPPET, cut

SEG_RESEARCH = SHARED / "data/seg_research"

pytestmark = needs_shared("data/seg_research")

RESULT = re.compile(r"^(?:<information>)?\d+\. \(Title: (.*?)\) (.*)$", re.MULTILINE)
ASKED = re.compile(r"<search>(.*?)</search>", re.DOTALL)


@cache
def knowledge() -> KnowledgeBase:
    return KnowledgeBase.open(SEG_RESEARCH / "kb")


@cache
def recorded(tool: str) -> dict[str, str]:
    """Collect query -> rendered observation of every recorded search by `tool`."""
    searches: dict[str, str] = {}
    for path in sorted((SEG_RESEARCH / "rollouts").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            for step in json.loads(line)["tool_interact_info"]:
                calls = ASKED.findall(step["action"])
                call = json.loads(calls[-1]) if calls else {}
                if call.get("name") == tool and "<information>" in step["obs"]:
                    searches[call["query"]] = step["obs"]
    return searches


def test_the_published_corpus_is_read_whole() -> None:
    assert (len(knowledge().texts), len(knowledge().images)) == (185, 99)
    hits = knowledge().search_text("W16 engine", 1) + knowledge().search_text("Jennifer Lopez inauguration", 1)
    assert [hit.source for hit in hits] == ["kb:text/145", "kb:text/145~2"]


def test_every_recorded_text_result_is_rendered_from_a_record_byte_for_byte() -> None:
    rendered = {f"(Title: {record.title}) {cut(record.body, SNIPPET)}" for record in knowledge().texts}
    searches = recorded("text_search")
    assert len(searches) > 200
    for observation in searches.values():
        body = observation.removeprefix("<information>").removesuffix("\n</information>\n\n")
        results = re.split(r"(?:^|\n)\d\. (?=\(Title: )", body)[1:]
        assert len(results) == 2
        assert set(results) <= rendered


def test_every_recorded_image_result_is_a_name_in_the_corpus() -> None:
    names = {record.name for record in knowledge().images}
    searches = recorded("image_search")
    assert len(searches) > 40
    assert {title for observation in searches.values() for title, _ in RESULT.findall(observation)} <= names


def test_overlap_with_the_recorded_choices(record_property: Callable[[str, object], None]) -> None:
    texts = []
    for query, observation in recorded("text_search").items():
        theirs = [title for title, _ in RESULT.findall(observation)]
        ours = [hit.title for hit in knowledge().search_text(query, 2)]
        texts.append((ours[:1] == theirs[:1], len(set(ours) & set(theirs)) / 2))
    images = [
        [match.record.name for match in knowledge().match_images(query, 1)]
        == [title for title, _ in RESULT.findall(observation)]
        for query, observation in recorded("image_search").items()
    ]
    first, both = np.mean(texts, axis=0).tolist()  # plain numbers: they travel between test processes
    shown = sum(images) / len(images)
    record_property("text top-1, overlap@2, image top-1", (first, both, shown))
    # Measured: 125 of 216 first texts, 53 % of the two, 32 of 54 first images.
    assert first >= 0.55
    assert both >= 0.50
    assert shown >= 0.55


def test_the_shipped_e5_index_fits_the_corpus() -> None:
    class E5Shaped:
        name = "e5"
        dimension = 768
        chance = 0.7

        def embed_queries(self, texts: list[str]) -> Vectors:
            # The tenth record's own vector: what e5 would make of its exact text.
            import faiss

            return faiss.read_index(str(SEG_RESEARCH / "kb" / "e5_Flat.index")).reconstruct_n(10, len(texts))

        def embed_passages(self, texts: list[str]) -> Vectors:
            return np.zeros((len(texts), 768), np.float32)

    by_e5 = KnowledgeBase.open(SEG_RESEARCH / "kb", E5Shaped())
    assert by_e5.search_text("zzqx", 1)[0].source == by_e5._text_sources[10]
