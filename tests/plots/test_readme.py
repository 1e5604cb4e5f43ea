"""The code of README's section on exploration and plots runs, and says what README says."""

import re
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

import bayesde as bde

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_section_on_plots_runs(capsys):
    section = (
        README.read_text(encoding="utf-8").partition("## Exploration and plots\n")[2].partition("\n## ")[0]
    )
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert len(blocks) == 2
    names = {"bde": bde, "counts": bde.load_pasilla()}
    for block in blocks:
        exec(block, names)
    drawn = set(re.findall(r"bde\.plots\.(\w+)\(", section))
    assert len(plt.get_fignums()) == len(drawn)
    assert drawn <= set(bde.plots.__all__)
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    said = re.search(r"print\(kept\)  # (.*) \.\.\.", section)
    assert capsys.readouterr().out.startswith(said[1])
