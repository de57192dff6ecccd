"""Records on disk: appended line by line while a run lasts, compacted to Parquet after it; pictures by sha256.

A line is written whole and flushed, so a killed run loses at most the episode it was writing. One process writes at a
time: who compacts removes the lines, and another's would go with them.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self, cast

import cv2
import numpy as np
from pydantic import TypeAdapter, ValidationError

from evals.runs.journal import cut_torn_line
from rl.records.invariants import RecordError, check_record
from rl.records.schema import SCHEMA_VERSION, Record
from tools.errors import boundary
from tools.image_store import Image, ImageStore, image_sha256

MEDIA = "media"
PARQUET = "episodes.parquet"
_LINES = "episodes-000.jsonl"
_LOCK = "writer.lock"
_REMEDY = "Check the folder and the room on its disk."
_COPY = "Copy the folder of records whole."
_RECORD = TypeAdapter(Record)


class RecordWriter:
    """Append records to a folder, which is this writer's alone until it is closed, or its process has ended."""

    def __init__(self, folder: Path, *, image_pad: int) -> None:
        """Open the folder; RecordError if it cannot be written, or another process is writing to it."""
        self.folder, self._image_pad = folder, image_pad
        with boundary(RecordError, f"cannot write to {folder}", remedy=_REMEDY):
            (folder / MEDIA).mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
            cut_torn_line(folder / _LINES)
            self._file = (folder / _LINES).open("a", encoding="utf-8")

    def write(self, record: Record, images: ImageStore) -> None:
        """Check a record, store its pictures, then append it; RecordError if an invariant does not hold."""
        check_record(record, self._image_pad)
        with boundary(RecordError, f"cannot write to {self.folder}", remedy=_REMEDY):
            for image in record["images"]:
                _store(images.get(image["sha256"]), media_path(self.folder, image["sha256"]))
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._file.flush()

    def compact(self) -> int:
        """Close the lines and move all there are into one Parquet file, zstd-compressed; returns how many it holds.

        The new file replaces the old one before the lines are removed: a run that is killed between the two leaves
        records twice, never none, and whoever reads them is given one of each. Raises RecordError like `read_records`.
        """
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        self._file.close()
        records = list(read_records(self.folder))
        with boundary(RecordError, f"cannot write to {self.folder}", remedy=_REMEDY):
            unfinished = self.folder / f"{PARQUET}.part"
            table = arrow.Table.from_pylist(cast(list[dict[str, Any]], records), schema=arrow_schema())
            parquet.write_table(table, unfinished, compression="zstd", row_group_size=256)
            os.replace(unfinished, self.folder / PARQUET)
            for path in self.folder.glob("episodes-*.jsonl"):
                path.unlink()
        return len(records)

    def close(self) -> None:
        """Let go of the folder; what was written stays, and where nothing was, no empty file does."""
        self._file.close()
        lines = self.folder / _LINES
        if lines.is_file() and not lines.stat().st_size:
            lines.unlink()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _locked(folder: Path) -> IO[str]:
    """Return the lock of a folder, held until it is closed; the file stays, for it is the same one for all who come."""
    lock = (folder / _LOCK).open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        lock.close()
        raise RecordError(
            f"another process is writing records to {folder}.", remedy="Wait for it, or name another folder with --out."
        ) from taken
    return lock


def media_path(folder: Path, sha256: str) -> Path:
    """Return where a picture lies."""
    return folder / MEDIA / sha256[:2] / f"{sha256}.png"


def load_image(folder: Path, sha256: str) -> Image:
    """Read a picture, RGB uint8 (height, width, 3); RecordError if it is missing, or not the one it is named for."""
    path = media_path(folder, sha256)
    encoded = path.read_bytes() if path.is_file() else b""
    found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    if found is None:
        raise RecordError(f"the picture {path} is missing or broken.", remedy=_COPY)
    image = cast(Image, cv2.cvtColor(found, cv2.COLOR_BGR2RGB))
    if image_sha256(image) != sha256:
        raise RecordError(f"the picture {path} holds other pixels than its name says.", remedy=_COPY)
    return image


def read_records(folder: Path) -> Iterator[Record]:
    """Yield the records of a folder once each, compacted ones first; a torn last line is left out.

    Raises RecordError if there are none, for a broken line before the last, and for a record of another schema.
    """
    seen: set[bytes] = set()
    for _, record in read_parts(folder):
        own = identity(record)
        if own not in seen:
            seen.add(own)
            yield record


def read_parts(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Yield every record as it stands in the files, with its file; RecordError like `read_records`."""
    parts = [folder / PARQUET] if (folder / PARQUET).is_file() else []
    lines = sorted(folder.glob("episodes-*.jsonl"))
    if folder.exists() and not folder.is_dir():
        raise RecordError(f"{folder} is no folder of records.", remedy="Name the folder that records were made in.")
    if not parts and not lines:
        raise RecordError(f"there are no records in {folder}.", remedy="Make some with `segscout rl record`.")
    for path in parts:
        for number, row in enumerate(_read_rows(path)):
            yield path, _checked(row, f"{path}, row {number}")
    for path in lines:
        for number, row in enumerate(_read_lines(path), 1):
            yield path, _checked(row, f"{path}, line {number}")


def identity(record: Record) -> bytes:
    """Return a digest that only copies of one episode share: its id, who sampled it, its tokens, what it was worth."""
    own = [
        record["episode_id"], record["policy"], record["policy_version"], f"{record['temperature']:.5g}",
        record["reward_name"], record["reward"], record["input_ids"], [image["sha256"] for image in record["images"]],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(own).encode()).digest()


def arrow_schema() -> Any:
    """Return the columns of the Parquet file."""
    import pyarrow as arrow

    text, whole, real = arrow.string(), arrow.int32(), arrow.float32()
    image = arrow.struct({"sha256": text, "width": whole, "height": whole, "token_start": whole, "token_len": whole})
    turn = arrow.struct(
        {
            "kind": text, "node": text, "start": whole, "end": whole, "seconds": real, "finish": text, "action": text,
            "tool": text, "query": text, "cache_hit": arrow.bool_(), "text": text,
        }
    )  # fmt: skip
    special = {
        "schema_version": whole, "sample_index": whole, "seed": arrow.int64(), "policy_version": arrow.int64(),
        "temperature": real, "top_p": real, "prompt_len": whole, "input_ids": arrow.list_(whole),
        "loss_mask": arrow.list_(arrow.int8()), "logprobs": arrow.list_(real), "images": arrow.list_(image),
        "turns": arrow.list_(turn), "reward": arrow.float64(), "success": arrow.bool_(),
    }  # fmt: skip
    return arrow.schema([(name, special.get(name, text)) for name in Record.__annotations__])


def _read_rows(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as parquet

    with boundary(
        RecordError,
        f"cannot read {path}",
        remedy="It is not whole. Remove it, and `segscout rl record` rolls out what is missing then.",
    ):
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=64):
            yield from batch.to_pylist()


def _read_lines(path: Path) -> Iterator[Any]:
    with boundary(RecordError, f"cannot read {path}", remedy=_REMEDY), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # torn by a killed run
            try:
                yield json.loads(line)
            except ValueError as error:
                raise RecordError(f"{path}, line {number}, is no record.", remedy="Remove that line.") from error


def _checked(row: Any, where: str) -> Record:
    """Return a row that has the columns of a record; RecordError names the first that is missing or of another kind."""
    version = row.get("schema_version") if isinstance(row, dict) else None
    if version is not None and version != SCHEMA_VERSION:
        raise RecordError(
            f"{where} has schema version {version}, not {SCHEMA_VERSION}.",
            remedy="Read it with the segscout that wrote it, or record again.",
        )
    try:
        return _RECORD.validate_python(row, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        column = ".".join(str(part) for part in first["loc"])
        raise RecordError(
            f"{where} is no record: {column or 'the whole'}: {first['msg']}.",
            remedy="These files are not what `segscout rl record` writes; name another folder.",
        ) from error


def _store(image: Image, path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_bytes(encoded.tobytes())
    os.replace(unfinished, path)
