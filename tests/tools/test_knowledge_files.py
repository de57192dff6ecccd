"""What a knowledge base reads from disk, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.embedders.base import Vectors
from tools.errors import InputError, KnowledgeBaseError
from tools.knowledge import ImageRecord, KnowledgeBase, TextRecord
from tools.knowledge.corpus import read_images, read_texts
from tools.knowledge.records import sources

TEXT = {"id": 1, "contents": "Torvik Rovers\nTheir emblem is a star."}
IMAGE = {"id": 4, "name": "Torvik Rovers", "filename": "4.png", "image_path": "data/local_KB/images/4.png"}

strings = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and text.isprintable())
lines = st.fixed_dictionaries(
    {"id": st.integers() | strings, "contents": st.builds("{}\n{}".format, strings, st.text(max_size=60))}
).filter(lambda fields: not any("\ud800" <= sign <= "\udfff" for sign in fields["contents"]))


class FakeE5:
    """Stands for e5: same name, four dimensions, one direction a title's first letter."""

    name = "e5"
    dimension = 4
    chance = 0.0

    def embed_queries(self, texts: list[str]) -> Vectors:
        return np.eye(4, dtype=np.float32)[[ord(text[0]) % 4 for text in texts]]

    embed_passages = embed_queries


def write(folder: Path, texts: list[Any] | None = None, images: list[Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in (("text_corpus.jsonl", texts), ("image_corpus.jsonl", images)):
        if rows is not None:
            (folder / name).write_text("\n".join(json.dumps(row) for row in rows))
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(lines, max_size=6),
    blanks=st.lists(st.integers(0, 6)),
    end=st.sampled_from(["", "\n", "\n\n \n"]),
    ascii_only=st.booleans(),
)
def test_reader_gives_back_what_was_written(
    tmp_path: Path, rows: list[dict[str, Any]], blanks: list[int], end: str, ascii_only: bool
) -> None:
    written = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    for place in blanks:
        written.insert(min(place, len(written)), " \r")
    (tmp_path / "t.jsonl").write_bytes(("\n".join(written) + end).encode())
    assert read_texts(tmp_path / "t.jsonl") == [TextRecord(row["id"], row["contents"]) for row in rows]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(junk=st.binary(max_size=80))
def test_junk_is_read_or_refused_by_name_never_a_crash(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(junk)
    caught: KnowledgeBaseError | None = None
    try:
        read_texts(path)
    except KnowledgeBaseError as error:
        caught = error
    assert caught is None or f"{path}:" in str(caught)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": 1, "contents": "no end',
        "[1, 2]",
        '"text"',
        "null",
        '{"contents": "Title"}',
        '{"id": true, "contents": "Title"}',
        '{"id": 1.5, "contents": "Title"}',
        '{"id": 1}',
        '{"id": 1, "contents": " \\n "}',
        '{"id": 1, "contents": ["Title"]}',
        "[" * 100_000,
        '{"id": 1, "contents": "caf\xe9"}'.encode("latin-1"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str | bytes) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    (tmp_path / "text_corpus.jsonl").write_bytes(json.dumps(TEXT).encode() + b"\n\n" + raw)
    with pytest.raises(KnowledgeBaseError, match=r"text_corpus\.jsonl:3 .*mend or remove") as caught:
        KnowledgeBase.open(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": 3},
        {"filename": None},
        {"image_path": 5},
        {"aliases": "one"},
        {"aliases": [1]},
        {"id": None},
    ],
)
def test_a_broken_image_line_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    write(tmp_path, images=[IMAGE, {**IMAGE, **wrong}])
    with pytest.raises(KnowledgeBaseError, match=r"image_corpus\.jsonl:2 is broken"):
        KnowledgeBase.open(tmp_path)


def test_odd_but_good_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    first_line = b'\xef\xbb\xbf{"id": "a", "contents": "Only a title"}\r\n'
    path.write_bytes(first_line + b'\r\n{"id": "a", "contents": "L\\ud800\xe2\x80\xa8ine\\nB"}')
    first, second = read_texts(path)
    assert (first.title, first.body) == ("Only a title", "")
    assert (second.title, second.body) == ("L\ufffd\u2028ine", "B")
    (tmp_path / "i.jsonl").write_text(json.dumps({**IMAGE, "aliases": ["Rovers", "TR"]}))
    assert read_images(tmp_path / "i.jsonl")[0].aliases == ("Rovers", "TR")


def test_repeated_ids_still_have_sources_of_their_own() -> None:
    assert sources("text", [1, 2, 1, "1~2", 1]) == [
        "kb:text/1",
        "kb:text/2",
        "kb:text/1~2",
        "kb:text/1~2~2",
        "kb:text/1~3",
    ]


def test_missing_folder_file_and_corpus(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeBaseError, match="is not a folder"):
        KnowledgeBase.open(tmp_path / "nowhere")
    with pytest.raises(KnowledgeBaseError, match="holds neither text_corpus"):
        KnowledgeBase.open(tmp_path)
    (tmp_path / "text_corpus.jsonl").mkdir()
    with pytest.raises(KnowledgeBaseError, match="cannot be read"):
        KnowledgeBase.open(tmp_path)


def test_one_corpus_is_enough_and_may_be_empty(tmp_path: Path) -> None:
    only_images = KnowledgeBase.open(write(tmp_path / "images", images=[IMAGE]))
    assert only_images.search_text("Torvik", 2) == []
    assert only_images.match_images("Torvik", 2)[0].source == "kb:image/4"
    assert KnowledgeBase.open(write(tmp_path / "none", texts=[])).search_text("Torvik", 2) == []


def test_pictures_are_found_beside_the_corpus(tmp_path: Path) -> None:
    knowledge = KnowledgeBase.open(write(tmp_path, images=[IMAGE]))
    with pytest.raises(KnowledgeBaseError, match="'Torvik Rovers' is missing") as caught:
        knowledge.search_images("Torvik", 1)
    assert str(tmp_path / "images" / "4.png") in caught.value.remedy
    for place in ("4.png", "images/4.png", "data/local_KB/images/4.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
        assert knowledge.search_images("Torvik", 1)[0].path == (tmp_path / place).resolve()


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "/{}/secret.png", "images/../../secret.png", "link.png", "folder", "a\0b", "x" * 5000, "."],
)
def test_nothing_outside_the_folder_is_ever_served(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.png").touch()
    folder = write(tmp_path / "kb")
    (folder / "folder").mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    escaping = path.format(tmp_path)
    record = {**IMAGE, "filename": escaping, "image_path": escaping}
    knowledge = KnowledgeBase.open(write(folder, images=[record]))
    with pytest.raises(KnowledgeBaseError, match="the picture of"):
        knowledge.search_images("Torvik", 1)


def test_records_in_memory_own_their_pictures(tmp_path: Path) -> None:
    record = ImageRecord(4, "Torvik Rovers", "4.png", "anywhere/4.png", ("The Rovers",))
    free = KnowledgeBase.from_records([], [record])
    assert free.search_images("torvik", 1)[0].path == Path("anywhere/4.png")
    bound = KnowledgeBase.from_records([], [record], directory=tmp_path)
    with pytest.raises(KnowledgeBaseError, match="is missing"):
        bound.search_images("torvik", 1)


def save_index(path: Path, vectors: Vectors, kind: type = faiss.IndexFlatIP) -> None:
    index = kind(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(path))


def test_e5_uses_the_prebuilt_index_and_others_ignore_it(tmp_path: Path) -> None:
    write(tmp_path, texts=[{"id": 0, "contents": "alpha"}, {"id": 1, "contents": "beta"}])
    # Swapped on purpose: only a search that uses this index finds `beta` for a question that starts with an a.
    swapped = FakeE5().embed_passages(["beta", "alpha"])
    save_index(tmp_path / "e5_Flat.index", swapped)
    assert KnowledgeBase.open(tmp_path, FakeE5()).search_text("a", 1)[0].title == "beta"
    assert KnowledgeBase.open(tmp_path).search_text("alpha", 1)[0].title == "alpha"
    (tmp_path / "e5_Flat.index").unlink()
    assert KnowledgeBase.open(tmp_path, FakeE5()).search_text("a", 1)[0].title == "alpha"


def test_an_index_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write(tmp_path, texts=[TEXT, TEXT])
    path = tmp_path / "e5_Flat.index"
    for vectors, kind, message in (
        (np.eye(3, 4, dtype=np.float32), faiss.IndexFlatIP, "3 rows, the corpus has 2"),
        (np.eye(2, 5, dtype=np.float32), faiss.IndexFlatIP, "vectors of 5 numbers, the embedder makes 4"),
        (np.eye(2, 4, dtype=np.float32), faiss.IndexFlatL2, "not a flat inner-product"),
    ):
        save_index(path, vectors, kind)
        with pytest.raises(KnowledgeBaseError, match=message):
            KnowledgeBase.open(tmp_path, FakeE5())
    whole = path.read_bytes()
    for broken in (b"", b"junk" * 20, whole[:-5], whole[:20]):
        path.write_bytes(broken)
        with pytest.raises(KnowledgeBaseError, match=r"e5_Flat\.index cannot be read"):
            KnowledgeBase.open(tmp_path, FakeE5())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    knowledge = KnowledgeBase.from_records([TextRecord(1, "a")])
    with pytest.raises(InputError):
        knowledge.search_text("a", limit)
    with pytest.raises(InputError):
        knowledge.match_images("a", limit)
