"""Records: the logged episode, one schema for reading, replay, checks, supervised and reinforcement learning."""

from rl.records.files import RecordWriter, read_records
from rl.records.invariants import RecordError, check_record
from rl.records.schema import SCHEMA_VERSION, Record

__all__ = ["SCHEMA_VERSION", "Record", "RecordError", "RecordWriter", "check_record", "read_records"]
