"""The open web, at arm's length: pictures and pages from public servers only, within limits of time and size."""

from tools.web.fetcher import Fetched, Fetcher, FetchLimits

__all__ = ["FetchLimits", "Fetched", "Fetcher"]
