"""Retries, budgets, names and keys: what stands around every provider."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from tools.errors import InputError, SearchError
from tools.search import load_search
from tools.search.base import ImageHit, TextHit
from tools.search.budgeted import BudgetedSearch, RequestCount, counted_in
from tools.search.replies import PassingSearchError, check_status
from tools.search.retrying import RetryingSearch
from tools.settings import Settings

HIT = TextHit("title", "snippet", "https://a.example/", 1.0)
DOWN = SearchError("down for good.", remedy="None.")


class Scripted:
    """Answers as it is told, in turn, the last one for ever."""

    name = "scripted"

    def __init__(self, *answers: list[TextHit] | SearchError, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.calls = self.now = self.most = 0

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        self.now -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, SearchError):
            raise answer
        return answer

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        await self.search_text(query, limit)
        return []


def passing(wait: float = 0.0) -> PassingSearchError:
    return PassingSearchError("busy.", wait=wait)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("tools.search.retrying.asyncio.sleep", sleep)
    return pauses


async def test_passing_faults_are_retried_with_growing_pauses(slept: list[float]) -> None:
    inner = Scripted(passing(), passing(), passing(), [HIT])
    assert await RetryingSearch(inner, retries=3, pause=1).search_text("q", 1) == [HIT]
    assert all(least <= pause <= 1.5 * least for pause, least in zip(slept, (1, 2, 4), strict=True))
    assert len({round(pause / least, 6) for pause, least in zip(slept, (1, 2, 4), strict=True)}) > 1  # jitter


async def test_the_last_fault_is_told_and_others_are_not_retried(slept: list[float]) -> None:
    inner = Scripted(passing())
    with pytest.raises(PassingSearchError, match="busy"):
        await RetryingSearch(inner, retries=2).search_images("q", 1)
    assert inner.calls == 3
    inner = Scripted(DOWN)
    with pytest.raises(SearchError, match="for good"):
        await RetryingSearch(inner).search_text("q", 1)
    assert inner.calls == 1


async def test_a_provider_is_left_alone_as_long_as_it_asks_but_not_for_ever(slept: list[float]) -> None:
    assert await RetryingSearch(Scripted(passing(wait=5), [HIT])).search_text("q", 1) == [HIT]
    assert 5 <= slept[0] <= 7.5
    inner = Scripted(passing(wait=3600), [HIT])
    with pytest.raises(PassingSearchError):
        await RetryingSearch(inner, longest=20).search_text("q", 1)
    assert inner.calls == 1


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("", 0),
        ("soon", 0),
        ("-3", 0),
        ("an hour from now", 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(told: str, seconds: float) -> None:
    told = told.replace("an hour from now", format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    with pytest.raises(PassingSearchError) as caught:
        check_status("serper", 503, {"retry-after": told}, b"", SecretStr("k"))
    assert caught.value.wait == pytest.approx(seconds, abs=2)


async def test_a_budget_is_spent_request_by_request() -> None:
    inner = Scripted(passing(), [HIT])
    budgeted = BudgetedSearch(inner, calls=3)
    assert await RetryingSearch(budgeted, pause=0).search_text("q", 1) == [HIT]
    await budgeted.search_images("q", 1)
    with pytest.raises(SearchError, match=r"3 requests .* to scripted are spent"):
        await budgeted.search_text("q", 1)
    assert inner.calls == 3
    with pytest.raises(SearchError, match="0 requests"):
        await BudgetedSearch(Scripted([HIT]), calls=0).search_text("q", 1)


async def test_many_at_once_neither_overspend_nor_crowd() -> None:
    inner = Scripted([HIT], seconds=0.01)
    budgeted = BudgetedSearch(inner, calls=20, at_once=3)
    found = await asyncio.gather(*(budgeted.search_text("q", 1) for _ in range(50)), return_exceptions=True)
    assert (inner.calls, inner.most) == (20, 3)
    assert sum(isinstance(one, SearchError) for one in found) == 30
    with pytest.raises(InputError):
        BudgetedSearch(inner, calls=1, at_once=0)


def test_a_budget_serves_several_event_loops() -> None:
    inner = Scripted([HIT], seconds=0.01)
    budgeted = BudgetedSearch(inner, calls=4, at_once=1)

    async def twice() -> None:
        await asyncio.gather(budgeted.search_text("q", 1), budgeted.search_text("q", 1))

    asyncio.run(twice())
    asyncio.run(twice())
    assert inner.calls == 4
    with pytest.raises(SearchError, match="spent"):
        asyncio.run(budgeted.search_text("q", 1))


async def test_each_run_has_the_whole_budget() -> None:
    inner = Scripted([HIT])
    budgeted = BudgetedSearch(inner, calls=2)
    for _ in range(3):
        with counted_in(RequestCount()):
            await asyncio.gather(*(asyncio.create_task(budgeted.search_text("q", 1)) for _ in range(2)))
            with pytest.raises(SearchError, match="2 requests"):
                await budgeted.search_text("q", 1)
    assert inner.calls == 6


@pytest.mark.parametrize("name", ["tavily", "serper"])
@pytest.mark.parametrize("key", [None, SecretStr(""), SecretStr("  ")])
def test_a_missing_key_is_named_with_its_variable(name: str, key: SecretStr | None, tmp_path) -> None:
    with pytest.raises(InputError, match=f"{name} needs a key.*SEGSCOUT_{name.upper()}_KEY"):
        load_search(name, tmp_path, key=key)


def test_unknown_names_and_options_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="Choose one of tavily, serper, duckduckgo"):
        load_search("bing", tmp_path)
    with pytest.raises(InputError, match=r"no option 'url'.*country, language"):
        load_search("serper", tmp_path, key=SecretStr("k"), options={"url": "http://127.0.0.1"})


@pytest.mark.parametrize(("name", "library"), [("tavily", "tavily"), ("duckduckgo", "ddgs")])
def test_a_missing_library_is_named_with_its_extra(name: str, library: str, tmp_path, monkeypatch) -> None:
    for module in (library, f"{library}.engines"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs {library}.*\.\[search\]"):
        load_search(name, tmp_path, key=SecretStr("k"))


def test_a_provider_is_made_with_its_wrappers(tmp_path) -> None:
    made = load_search("serper", tmp_path / "cache", key=SecretStr(" k "), options={"country": "de"})
    assert (made.name, type(made)) == ("serper", RetryingSearch)
    assert not (tmp_path / "cache").exists()


def test_keys_come_from_the_environment_and_stay_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSCOUT_TAVILY_KEY", "tvly-secret")
    monkeypatch.setenv("SEGSCOUT_SERPER_KEY", "serper-secret")
    settings = Settings()
    assert settings.tavily_key is not None
    assert settings.tavily_key.get_secret_value() == "tvly-secret"
    assert "secret" not in repr(settings).replace("SecretStr", "").replace("secret_", "")
    assert "secret" not in settings.model_dump_json()


def test_loading_the_package_is_cheap() -> None:
    code = "import sys, tools.search; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"httpx", "httpx2", "tavily", "ddgs", "trafilatura", "PIL", "faiss", "torch"} & set(loaded)
