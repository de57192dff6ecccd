"""Two processes agree: gradients are averaged, and one clock rules."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import torch
from rl.sft.crew import Crew
crew = Crew("cpu")
layers = [torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)]
parameters = [p for layer in layers for p in layer.parameters()]
for number, parameter in enumerate(parameters):
    parameter.grad = torch.full_like(parameter, float(number + 10 * crew.rank))
parameters[1].grad = None
crew.average(parameters)
assert parameters[1].grad is None
for number, parameter in enumerate(parameters):
    if parameter.grad is not None:
        assert torch.allclose(parameter.grad, torch.full_like(parameter, number + 5.0)), (number, parameter.grad)
assert crew.agree(0.25 + crew.rank) == 0.25
assert crew.leads == (crew.rank == 0)
crew.leave()
"""


def test_two_processes_average_and_agree(tmp_path: Path) -> None:
    script = tmp_path / "crew.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
