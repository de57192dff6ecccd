"""Choose the engine by what the command line says; imports no engine before it is known."""

from typing import Annotated, Literal

import typer

from evals.runs.work import Engine
from tools.errors import InputError

EngineName = Annotated[Literal["local", "ray"], typer.Option(help="local: in this process. ray: in many.")]
Concurrency = Annotated[int, typer.Option(help="Items under way at once, in each worker; more pays at an endpoint.")]
Workers = Annotated[int | None, typer.Option(help="Processes on Ray, one core each; default 2.")]
RayAddress = Annotated[str | None, typer.Option(help="Join the Ray there: host:port or auto; default: one of our own.")]
GpusPerWorker = Annotated[float | None, typer.Option(help="GPUs of each worker on Ray, also a share: 0.5; default 0.")]


def choose_engine(
    name: str, concurrency: int, workers: int | None, ray_address: str | None, gpus_per_worker: float | None
) -> Engine:
    """Return an engine; InputError for numbers that make no sense, for what belongs to Ray without it, and without Ray.

    None is "not said".
    """
    if name == "ray":
        from evals.runs.ray import RayEngine

        return RayEngine(2 if workers is None else workers, concurrency, ray_address, gpus_per_worker or 0.0)
    if (workers, ray_address, gpus_per_worker) != (None, None, None):
        raise InputError("workers, their address and their GPUs belong to Ray.", remedy="Say --engine ray, too.")
    from evals.runs.local import LocalEngine

    return LocalEngine(concurrency)
