"""Settings from the environment and `.env`: what need not be written on every command line.

All keys and endpoints are here and nowhere else, keys as `SecretStr`, which shows nothing; `.env.example` lists them.
"""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tools.errors import InputError, boundary


class Settings(BaseSettings):
    """Defaults of the command line, each from SEGSCOUT_ and the name in capitals; an option always wins.

    The environment wins over `.env`, which is read in the folder that the command is run in.
    """

    model_config = SettingsConfigDict(env_prefix="SEGSCOUT_", env_file=".env", env_ignore_empty=True, extra="ignore")

    policy: str = Field("embedded", repr=False)  # an address may hold a password
    model: str | None = None
    profile: str | None = None
    dialect: str | None = None
    segmenter: str = "sam2"
    sam2_model: str | None = None
    kb: Path | None = None
    device: str | None = None
    api_key: SecretStr | None = None
    """The endpoint's key; never shown, logged or saved."""
    search: str | None = None
    search_cache: Literal["record", "replay", "off"] = "off"
    search_folder: Path = Path("runs/search")
    """Where pictures that a web search found lie, and its recordings."""
    search_calls: int = 200
    """Requests that a web search may send in one run."""
    read_pages: bool = False
    tavily_key: SecretStr | None = None
    serper_key: SecretStr | None = None
    server_key: SecretStr | None = None
    """What clients of `segscout serve` must send; never shown, logged or saved."""
    otlp_endpoint: str | None = Field(
        None, repr=False, validation_alias=AliasChoices("segscout_otlp_endpoint", "otel_exporter_otlp_endpoint")
    )
    """Where traces of runs go, as http://host:4318; None: nowhere."""
    otlp_headers: SecretStr | None = Field(
        None, validation_alias=AliasChoices("segscout_otlp_headers", "otel_exporter_otlp_headers")
    )
    """Headers for it, name=value,name=value: where its key goes."""

    def secret(self) -> str | None:
        """Return the key in plain text, for the endpoint's client only."""
        return self.api_key.get_secret_value() if self.api_key else None

    def server_secret(self) -> str | None:
        """Return the key of the server in plain text, for its guard only."""
        return self.server_key.get_secret_value() if self.server_key else None


def read_settings() -> Settings:
    """Read the settings; InputError if the environment or `.env` holds something unusable."""
    with boundary(InputError, "the settings cannot be read", remedy="Check .env and the SEGSCOUT_ variables."):
        return Settings()
