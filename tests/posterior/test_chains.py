"""Calls of Stan that do not end well."""

import os
import signal
import threading
import time

import psutil
import pytest

from bayesde.posterior import fit_posterior
from bayesde.posterior.chains.run import SamplerStopped, _signal_in


@pytest.mark.parametrize(
    ("codes", "signal_number"), [("[0, 0]", None), ("[70, 0]", None), ("[-1, -1]", None), ("[0, -9]", 9)]
)
def test_a_signal_is_told_from_a_failure(codes, signal_number):
    message = (
        f"Error during sampling:\nsomething\nCommand and output files:\nRunSet: chains=2\n retcodes={codes}\n"
    )
    assert _signal_in(message) == signal_number


def test_a_killed_chain_is_not_taken_for_a_bad_gene(tiny_fit, tmp_path, cmdstan):
    """Else its genes would be sampled alone, and kept with other draws than an undisturbed run has."""
    done = threading.Event()

    def kill_chains():
        while not done.is_set():
            for child in psutil.Process(os.getpid()).children(recursive=True):
                if child.name().startswith("genes"):
                    child.send_signal(signal.SIGKILL)
            time.sleep(0.002)

    killer = threading.Thread(target=kill_chains)
    killer.start()
    try:
        with pytest.raises(SamplerStopped, match="signal 9"):
            fit_posterior(
                tiny_fit.counts,
                tiny_fit.design,
                engine="nuts",
                hyperparameters="eb",
                eb=tiny_fit,
                draws=20_000,
                directory=tmp_path,
            )
    finally:
        done.set()
        killer.join()
    assert not any((folder / "ok").exists() for folder in tmp_path.iterdir())
