"""What `segscout doctor` tries before a long run: an endpoint, its model, a picture, a search; never showing a key."""

import json

import pytest
from agent_stubs import Ran, cli
from chat_server import chat_server, error, hang, models, said, send
from graph_stubs import DictSearch
from pydantic import SecretStr

from agent import doctor, preflight
from agent.preflight import examine_policy, examine_search
from tools.search.choosing import SearchChoice
from tools.settings import Settings

KEY = "sk-planted-secret"


def settings(**said_: object) -> Settings:
    return Settings(_env_file=None, **said_)  # type: ignore[call-arg,arg-type]


async def policy(url: str, *, model: str | None = None, seconds: float = 5.0):
    return {one.name: one for one in await examine_policy(url, model=model, key=KEY, seconds=seconds)}


async def test_an_endpoint_is_greeted_and_shown_a_picture():
    with chat_server() as server:
        checks = await policy(server.url, model="small")
        served_by_tokens = await policy("tokens+" + server.url.removesuffix("/v1"))
    assert {name: check.ok for name, check in checks.items()} == {
        "policy address": True,
        "policy model": True,
        "policy picture": True,
    }
    assert all(check.ok for check in served_by_tokens.values())
    content = server.requests[0]["messages"][0]["content"]
    assert content[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert server.keys[0] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("broken", "check", "remedy"),
    [
        ({"models": error(401, f"wrong key {KEY}")}, "policy address", "SEGSCOUT_API_KEY"),
        ({"models": send(b"<html>")}, "policy address", "log"),
        ({"models": models("other")}, "policy model", "--model"),
        ({"models": models("small", "other"), "asked": None}, "policy model", "--model"),
        ({"models": models()}, "policy model", "Load a model"),
        ({"answers": [error(400, f"no images, {KEY}")]}, "policy picture", "images"),
        ({"answers": [hang(3)], "seconds": 0.5}, "policy picture", "Wait until the model has loaded"),
    ],
)
async def test_what_is_broken_is_named_with_its_remedy_and_never_the_key(broken, check, remedy):
    with chat_server() as server:
        server.models = broken.get("models", server.models)
        server.answers = broken.get("answers", server.answers)
        model = None if "asked" in broken or "answers" in broken else "small"
        checks = await policy(server.url, model=model, seconds=broken.get("seconds", 30.0))
    assert [name for name, one in checks.items() if not one.ok] == [check]
    assert list(checks)[-1] == check  # nothing more is tried
    assert remedy in checks[check].remedy
    assert checks[check].needed
    assert KEY not in str(checks)


async def test_a_redirect_is_told_and_not_followed():
    with chat_server() as inside, chat_server() as server:
        server.answers = [send({}, status=307, headers={"Location": f"{inside.url}/chat/completions"})]
        picture = (await policy(server.url))["policy picture"]
        assert inside.requests == []
    assert not picture.ok
    assert "redirects elsewhere" in picture.found


async def test_addresses_are_shown_without_their_password():
    for address in ("http://me:hunter2@127.0.0.1:9/v1", "ftp://me:hunter2@127.0.0.1/v1"):
        checks = await policy(address)
        assert not checks["policy address"].ok
        assert "hunter2" not in str(checks)


async def test_without_live_a_search_is_sent_nothing(tmp_path, monkeypatch):
    search = DictSearch({"emblem": "x"})
    monkeypatch.setattr(preflight, "choose", lambda request, _: SearchChoice(web=search))
    options = {"kb": None, "settings": settings(), "seconds": 5.0}
    assert (await examine_search("serper", live=False, **options)).ok
    assert search.queries == []
    assert (await examine_search("serper", live=True, **options)).ok
    assert len(search.queries) == 1
    search.broken = 1
    failed = await examine_search("serper", live=True, **options)
    assert (failed.ok, failed.found, failed.remedy) == (False, "the index is on fire.", "Put it out.")
    search.delay = 5.0
    assert "no answer in 0.05 s" in (await examine_search("serper", live=True, **options | {"seconds": 0.05})).found


@pytest.mark.parametrize(
    ("name", "remedy"), [("tavily", "SEGSCOUT_TAVILY_KEY"), ("altavista", "tavily"), ("kb", "--kb")]
)
async def test_a_search_that_cannot_be_made_is_named_with_its_remedy(name, remedy):
    check = await examine_search(name, kb=None, settings=settings(), live=True, seconds=5.0)
    assert (check.ok, check.needed) == (False, True)
    assert remedy in check.remedy


async def test_a_search_with_its_key_passes_and_shows_none_of_it(tmp_path):
    keyed = settings(tavily_key=SecretStr(KEY), search_folder=tmp_path)
    check = await examine_search("tavily", kb=None, settings=keyed, live=False, seconds=5.0)
    assert check.ok
    assert KEY not in str(check)


def test_every_secret_of_the_settings_is_examined():
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert set(doctor._KEYS) == secrets


@pytest.mark.slow
def test_the_exit_code_is_that_of_what_the_flags_name(tmp_path):
    lines = (
        f"SEGSCOUT_SERPER_KEY={KEY}",
        f"SEGSCOUT_API_KEY={KEY}",
        f"SEGSCOUT_POLICY=http://me:{KEY}@host.invalid/v1",
    )
    (tmp_path / ".env").write_text("\n".join(lines))
    with chat_server() as server:
        server.answers = [said("red")]
        well = cli("doctor", "--policy", server.url, "--search", "serper", "--json", cwd=tmp_path)
        server.models = error(500, f"down, {KEY}")
        ill = cli("doctor", "--policy", server.url, "--json", cwd=tmp_path)
    named = cli("doctor", "--kb", str(tmp_path / "nowhere"), "--json", cwd=tmp_path)
    found = {check["name"]: check for check in well.last["checks"]}
    assert (well.code, well.last["ok"]) == (0, True), well.err
    assert "http://host.invalid/v1" in found["settings"]["found"]
    assert found["SEGSCOUT_SERPER_KEY"]["found"] == "set"
    assert found["SEGSCOUT_TAVILY_KEY"]["found"] == "not set"
    assert found["policy picture"]["ok"]
    assert (ill.code, ill.last["ok"]) == (1, False)
    assert missing(ill) == ["policy address"]
    assert missing(named) == ["policy address", "search kb"]  # of the settings the one, of the command line the other
    assert KEY not in json.dumps([well.out, well.err, ill.out, ill.err, named.out, named.err])


def missing(ran: Ran) -> list[str]:
    return [check["name"] for check in ran.last["checks"] if check["needed"] and not check["ok"]]
