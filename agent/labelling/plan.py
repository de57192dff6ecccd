"""What is to be labelled, and what of it is done: rows of earlier runs count as long as their file is the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.labelling.files import File
from evals.runs.work import PlainRow
from graphs.endings import Ending
from tools.errors import InputError

NOT_RUN = "not_run"
"""The ending of an item that could not be run at all, such as a file that is no picture."""


@dataclass(frozen=True)
class Item:
    """A file and what to find in it."""

    file: File
    query: str


@dataclass(frozen=True)
class Plan:
    """Every item by number; `done` are the rows of those that earlier runs did, `todo` are the others."""

    items: Mapping[int, Item]
    done: Mapping[int, PlainRow]

    @property
    def todo(self) -> list[int]:
        """The numbers of the items that are not done."""
        return [number for number in self.items if number not in self.done]


def make_plan(files: Iterable[File], queries: Sequence[str], rows: Mapping[int, PlainRow]) -> Plan:
    """Number every file with every query: items that `rows` did keep their numbers, others get new ones.

    So files and queries may come and go between runs. An item is done again if its file was written since, and if a
    part was broken or the file could not be read; an ending of the policy's own stands.
    """
    known = {(row["file"], row["query"], row["size"], row["written_ns"]): row for row in rows.values()}
    items: dict[int, Item] = {}
    done: dict[int, PlainRow] = {}
    number = max(rows, default=-1) + 1
    for file in files:
        for query in queries:
            row = known.get((file.name, query, file.size, file.written_ns))
            if row is not None and not _again(row["ending"]):
                items[row["index"]] = Item(file, query)
                done[row["index"]] = row
            else:
                items[number] = Item(file, query)
                number += 1
    return Plan(items, done)


def check_queries(queries: Sequence[str]) -> list[str]:
    """Return queries without repetitions, in order; InputError if there is none or an empty one."""
    stripped = [query.strip() for query in queries]
    if not all(stripped) or not stripped:
        raise InputError("a query is empty.", remedy="Say what to find, with --query; several times for several.")
    return list(dict.fromkeys(stripped))


def _again(ending: str) -> bool:
    return ending == NOT_RUN or Ending(ending).broken
