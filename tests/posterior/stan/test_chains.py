"""Calls of Stan that do not end well."""

import contextlib
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bayesde.errors import FitError, SamplerStopped
from bayesde.posterior import fit_posterior
from bayesde.posterior.stan.data import genes_data
from bayesde.posterior.stan.run import ChainSettings, _signal_in, run_chains
from bayesde.posterior.stan.starts import chain_starts
from bayesde.stan_runtime import compiled_model


@pytest.mark.parametrize(
    ("codes", "signal_number"), [("[0, 0]", None), ("[70, 0]", None), ("[-1, -1]", None), ("[0, -9]", 9)]
)
def test_a_signal_is_told_from_a_failure(codes, signal_number):
    message = (
        f"Error during sampling:\nsomething\nCommand and output files:\nRunSet: chains=2\n retcodes={codes}\n"
    )
    assert _signal_in(message) == signal_number


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder that temporary files go to; what cmdstanpy keeps in its own is looked at as well."""
    import cmdstanpy

    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = set(Path(cmdstanpy._TMPDIR).rglob("*"))
    yield folder
    assert list(folder.iterdir()) == []
    assert set(Path(cmdstanpy._TMPDIR).rglob("*")) == before


def sample_block(genes, starts):
    program, settings = compiled_model("genes"), ChainSettings(2, 50, 50, 0.9, 10)
    return run_chains(program, genes_data(genes), starts, settings, 1, ("beta", "log_dispersion"))


def test_no_file_is_left_behind(panel_genes, scratch, cmdstan):
    genes = panel_genes.genes(np.arange(3))
    chains = sample_block(genes, [{"z": z.tolist()} for z in chain_starts(genes, 2)])
    assert chains.variables["beta"].shape == (2, 50, 3, 3)


def test_no_file_is_left_behind_by_chains_that_fail(panel_genes, scratch, cmdstan):
    genes = panel_genes.genes(np.arange(3))
    with pytest.raises(FitError, match="could not sample genes"):
        sample_block(genes, [{"z": np.full((3, 4), 1e300).tolist()}] * 2)


def test_a_killed_chain_is_not_taken_for_a_bad_gene(tiny_fit, tmp_path, scratch, cmdstan):
    """Else its genes would be sampled alone, and kept with other draws than an undisturbed run has."""
    done = threading.Event()

    def kill_chains():
        while not done.is_set():
            for child in psutil.Process(os.getpid()).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # it may end by itself
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
                directory=tmp_path / "blocks",
            )
    finally:
        done.set()
        killer.join()
    assert not any(path.name.startswith(".theta") for path in (tmp_path / "blocks").iterdir())
    assert not any((folder / "ok").exists() for folder in (tmp_path / "blocks").iterdir())
