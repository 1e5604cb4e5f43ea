"""What is compiled ahead is what a run calls, with arrays of the same types."""

import subprocess
import sys

PROGRAM = """
import bayesde
from bayesde.eb import outliers
from bayesde.eb.regression import irls
from bayesde.eb.shrinkage import cauchy_mode
from bayesde.eb.warm_up import warm_up
warm_up()
loops = (cauchy_mode.find_modes, outliers._summarize, irls.contrast_errors)
before = [set(loop.signatures) for loop in loops]
counts = bayesde.load_pasilla()
fit = bayesde.fit_eb(counts.subset(genes=list(counts.genes[::12])), "~ type + condition")
fit.shrink(coef="condition[T.untreated]")
fit.results(contrast=("condition", "untreated", "treated"))
print([len(set(loop.signatures) - known) for loop, known in zip(loops, before)], all(before))
"""


def test_a_run_compiles_these_loops_for_no_other_types():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[0, 0, 0] True"
