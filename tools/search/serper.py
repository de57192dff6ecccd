"""Serper: Google's results by its HTTP API (google.serper.dev, `/search` and `/images`)."""

from collections.abc import Mapping
from functools import cached_property, partial
from ssl import SSLContext
from typing import TypeVar

import httpx2 as httpx
from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.alias_generators import to_camel

from tools.search.base import ImageHit, TextHit
from tools.search.kept_replies import ask_once
from tools.search.replies import asking, check_status, read_reply
from tools.search.results import Found, as_image_hits, as_query, as_text_hits
from tools.web.pictures import PictureFetcher

_PAGE = 10
"""Results of a request: fewer cost the same, more cost twice."""


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class _Organic(_Model):
    title: str | None = None
    link: str | None = None
    snippet: str | None = None


class _AnswerBox(_Organic):
    answer: str | None = None


class _KnowledgeGraph(_Model):
    title: str | None = None
    type: str | None = None
    description: str | None = None
    description_link: str | None = None
    website: str | None = None
    attributes: dict[str, object] = {}


class _Texts(_Model):
    search_parameters: dict[str, object]  # in every reply, which tells an empty one from something else
    organic: list[_Organic] = []
    answer_box: _AnswerBox | None = None
    knowledge_graph: _KnowledgeGraph | None = None


class _Image(_Model):
    title: str | None = None
    image_url: str | None = None
    link: str | None = None


class _Images(_Model):
    search_parameters: dict[str, object]
    images: list[_Image] = []


_Reply = TypeVar("_Reply", _Texts, _Images)


class SerperSearch:
    """Search Google through Serper, one paid request a search."""

    name = "serper"

    def __init__(
        self,
        key: SecretStr,
        pictures: PictureFetcher,
        *,
        country: str = "us",
        language: str = "en",
        seconds: float = 15.0,
        url: str = "https://google.serper.dev",
    ) -> None:
        """Ask with `key` for results as seen in `country` (gl) and `language` (hl), each time within `seconds`."""
        self._key = key
        self._pictures = pictures
        self._place = {"gl": country, "hl": language}
        self._seconds = seconds
        self._url = url

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return at most `limit` text hits, best first; SearchError if Serper fails."""
        reply = await self._ask("/search", query, limit, _Texts)
        return as_text_hits([*_direct_answers(reply), *map(_text, reply.organic)], limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return at most `limit` image hits, best first; SearchError if Serper fails."""
        reply = await self._ask("/images", query, limit, _Images)
        found = [Found(image.title, image.link, picture=image.image_url) for image in reply.images]
        return await as_image_hits(found, limit, self._pictures)

    async def _ask(self, path: str, query: str, limit: int, model: type[_Reply]) -> _Reply:
        asked = {"q": as_query(query), "num": max(limit, _PAGE), **self._place}
        return await ask_once(
            {"path": path, **asked}, lambda: self._send(path, asked), partial(read_reply, self.name, model)
        )

    async def _send(self, path: str, asked: Mapping[str, object]) -> bytes:
        headers = {"X-API-KEY": self._key.get_secret_value()}
        async with (
            asking(self.name, self._seconds, httpx.TransportError),
            httpx.AsyncClient(verify=self._trust, timeout=self._seconds) as client,
        ):
            response = await client.post(self._url + path, json=asked, headers=headers)
        check_status(self.name, response.status_code, response.headers, response.content, self._key)
        return response.content

    @cached_property
    def _trust(self) -> SSLContext:
        return httpx.create_ssl_context()


def _direct_answers(reply: _Texts) -> list[Found]:
    """Return what Google says above its results: a direct answer and what it knows about a thing."""
    found: list[Found] = []
    if box := reply.answer_box:
        found.append(Found(box.title, box.link, box.answer or box.snippet))
    if graph := reply.knowledge_graph:
        told = [graph.type, graph.description, *(f"{name}: {value}" for name, value in graph.attributes.items())]
        link = graph.description_link or graph.website
        found.append(Found(graph.title, link, ". ".join(part.rstrip(". ") for part in told if part)))
    return [one for one in found if one.snippet]


def _text(organic: _Organic) -> Found:
    return Found(organic.title, organic.link, organic.snippet)
