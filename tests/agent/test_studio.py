"""The graph that LangGraph Studio loads: named by a valid configuration, drawn whole, and run from plain values."""

import json
from importlib import import_module

import PIL.Image
import pytest
from agent_stubs import FRAMES, ROOT, script, square, write_clip
from chat_server import chat_server, said
from pycocotools import mask as coco

from agent import studio
from graphs.graph import graph
from tools.errors import MediaError, SegscoutError

CONFIG = ROOT / "graphs/langgraph.json"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a clip, and no settings but a scripted endpoint."""
    write_clip(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    studio._parts.cache_clear()
    with chat_server() as server:
        server.answers = [said(turn) for turn in script()]
        for name, value in {"POLICY": server.url, "PROFILE": "embedded", "SEGMENTER": "grabcut"}.items():
            monkeypatch.setenv(f"SEGSCOUT_{name}", value)
        yield tmp_path
    studio._parts.cache_clear()


def configured():
    """The graph by the name that the configuration gives it."""
    module, _, name = json.loads(CONFIG.read_text())["graphs"]["segscout"]["path"].partition(":")
    return getattr(import_module(module), name)


def test_the_configuration_names_this_project_and_its_graph():
    config = json.loads(CONFIG.read_text())
    assert [(CONFIG.parent / one / "pyproject.toml").is_file() for one in config["dependencies"]] == [True]
    assert configured() is studio.graph


def test_the_graph_draws_itself_with_a_plain_input():
    drawn = configured().get_graph()
    own = {(edge.source, edge.target) for edge in graph.get_graph().edges}
    assert {(edge.source, edge.target) for edge in drawn.edges} == own
    assert all(
        f"{node}({node})" in drawn.draw_mermaid() for node in ("plan", "search", "observe", "reason", "localize")
    )
    schema = configured().get_input_jsonschema()
    assert {name: field["type"] for name, field in schema["properties"].items()} == {
        "media": "string",
        "query": "string",
    }
    assert {"ending", "masks", "instances"} <= set(configured().get_output_jsonschema()["properties"])


async def test_a_run_ends_in_plain_masks(folder):
    found = await studio.graph.ainvoke({"media": "clip.mp4", "query": "the red square"})
    assert json.loads(json.dumps(found)) == found
    assert (found["ending"], found["keyframe"]) == ("found", 2)
    masks = {mask["frame"]: {"size": mask["size"], "counts": mask["counts"]} for mask in found["masks"]}
    assert sorted(masks) == list(range(FRAMES))
    x1, y1, x2, y2 = square(2)
    assert coco.toBbox(masks[2]) == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=3)


async def test_only_files_under_the_working_folder_are_opened(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    PIL.Image.new("RGB", (8, 8)).save(outside)
    (folder / "link.png").symlink_to(outside)
    for name in (str(outside), "../" + outside.parent.name + "/secret.png", "link.png", "\0"):
        with pytest.raises(MediaError, match="media root"):
            await studio.graph.ainvoke({"media": name, "query": "x"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.png", "http://169.254.169.254/a.png", "file:///etc/passwd"])
async def test_only_public_addresses_are_fetched(folder, url):
    with pytest.raises(SegscoutError, match=r"public internet|no web address|port"):
        await studio.graph.ainvoke({"media": url, "query": "x"})


@pytest.mark.slow
async def test_the_shipped_parts_find_the_emblem_of_the_example(monkeypatch, tmp_path):
    example = ROOT / "agent/server/example"
    monkeypatch.chdir(example)
    monkeypatch.setenv("SEGSCOUT_KB", str(example / "kb"))
    studio._parts.cache_clear()
    query = "the emblem of the team that won the 2032 Estifell Cup"
    found = await studio.graph.ainvoke({"media": "clip.mp4", "query": query})
    studio._parts.cache_clear()
    assert (found["ending"], len(found["masks"]), len(found["searches"])) == ("found", 16, 2)
    # As the README shows for the server.
    assert coco.toBbox({key: found["masks"][0][key] for key in ("size", "counts")}) == pytest.approx(
        [149, 204, 74, 75], abs=3
    )
