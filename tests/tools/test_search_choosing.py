"""What the command line and the settings make of searching: a knowledge base, the web, one of them, or a clear no."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from tools.errors import InputError
from tools.search.choosing import SearchRequest, choose
from tools.settings import Settings


def settings(**said: object) -> Settings:
    return Settings(_env_file=None, **said)  # type: ignore[call-arg,arg-type]


def test_without_a_word_there_is_what_the_settings_have(tmp_path: Path) -> None:
    assert choose(SearchRequest(), settings()).kb is None
    assert choose(SearchRequest(), settings(kb=tmp_path)).kb == tmp_path
    assert choose(SearchRequest(kb=Path("mine")), settings(kb=tmp_path)).kb == Path("mine")


def test_a_named_search_wins_over_the_knowledge_base_of_the_settings(tmp_path: Path) -> None:
    asked = SearchRequest("serper", cache="replay", folder=tmp_path)
    chosen = choose(asked, settings(kb=tmp_path / "kb"))
    assert chosen.kb is None
    assert chosen.web is not None
    assert chosen.web.name == "serper"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (SearchRequest("kb"), "no knowledge base"),
        (SearchRequest("tavily", kb=Path("kb")), "two things"),
        (SearchRequest("tavily"), "needs a key"),
        (SearchRequest("altavista"), "no web search 'altavista'"),
    ],
)
def test_what_cannot_be_is_told(request_: SearchRequest, told: str) -> None:
    with pytest.raises(InputError, match=told):
        choose(request_, settings())


async def test_a_replay_sends_nothing_and_a_miss_is_told(tmp_path: Path) -> None:
    chosen = choose(SearchRequest("tavily", cache="replay", folder=tmp_path), settings(tavily_key=SecretStr("secret")))
    assert chosen.web is not None
    with pytest.raises(Exception, match="recorded"):
        await chosen.web.search_text("anything", 2)
