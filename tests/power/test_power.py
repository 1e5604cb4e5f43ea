"""Planning: power grows with replicates and effects, agrees with what experiments find, and is repeatable."""

import json

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde.errors import InputError, OptionError
from bayesde.power.assumptions import TYPICAL, assumptions_of
from bayesde.power.picture import power_plot
from bayesde.power.study import _s_values

FEW = {"genes": 300, "probes": 60}


@pytest.fixture(scope="module")
def study():
    return bde.power_study(options=bde.PowerOptions(replicates=(6, 2), effects=(2.0, 0.5), **FEW))


@pytest.fixture(scope="module")
def pilot():
    laws = bde.SimulationOptions(effect_scale=0.3, trend=(0.05, 1.0), dispersion_sd=0.4)
    drawn = bde.simulate(400, (4, 4), seed=8, options=laws)
    return bde.fit_posterior(drawn.counts, drawn.design, options=bde.SamplingOptions(hand_over=False))


def test_power_grows_with_replicates_and_effects(study):
    table = study.table.pivot(index="replicates", columns="effect", values="power")
    assert list(table.index) == [2, 6]
    assert list(table.columns) == [0.5, 2.0]
    assert (table[2.0] > table[0.5] + 0.2).all()
    assert (table.loc[6] > table.loc[2]).all()
    assert table.loc[6, 2.0] > 0.9
    assert study.table["power_se"].between(0.0, 0.5 / np.sqrt(FEW["probes"])).all()
    assert (study.table["found"].diff().dropna() >= -0.02).all()


def test_what_is_needed(study):
    needed = study.needed()
    assert needed[2.0] == 6 or needed[2.0] == 2
    assert pd.isna(needed[0.5])
    assert study.sentences()[0].startswith("more than 6 replicates per group find 80 % of the genes with")
    assert "80 %" in repr(study)


def test_the_same_seed_gives_the_same_numbers():
    options = bde.PowerOptions(replicates=(3,), effects=(1.0,), genes=200, probes=20, repeats=2)
    heard = []
    one, other = (
        bde.power_study(options=options, progress=lambda *now: heard.append(now)).table for _ in range(2)
    )
    pd.testing.assert_frame_equal(one, other)
    assert heard[0] == (0, 2, "simulating experiments of 3 + 3 samples")
    assert heard[-1][:2] == (2, 2)
    assert one["power_se"][0] == pytest.approx(np.sqrt(one["power"][0] * (1.0 - one["power"][0]) / 40))


def test_probes_have_the_s_values_that_genes_of_the_experiment_have(pilot):
    """Each gene taken out and put in again gets its own s-value."""
    table = pilot.results().dropna(subset="lfsr").sort_values("lfsr")
    rates = table["lfsr"].to_numpy()
    again = [_s_values(rates[[i]], np.delete(rates, i))[0] for i in range(0, rates.size, 7)]
    np.testing.assert_allclose(again, table["s_value"].to_numpy()[::7], rtol=1e-9)
    assert _s_values(np.array([np.nan]), rates) == 1.0


def test_a_pilot_gives_laws_and_means(pilot, tmp_path):
    assumed = assumptions_of(pilot, None, None)
    hyper = pilot.hyperparameters
    assert assumed.laws.effect_scale == hyper.shrinkage_scale["condition[T.treated]"]
    assert assumed.laws.trend == (hyper.asymptotic_dispersion, hyper.extra_poisson)
    np.testing.assert_array_equal(
        np.sort(assumed.base_mean), np.sort(pilot.eb.base_mean[pilot.eb.base_mean > 0])
    )
    hyper.to_json(tmp_path / "hyperparameters.json")
    from bayesde.results import write_results

    write_results(pilot.results(), tmp_path)
    read = assumptions_of(tmp_path, "condition[T.treated]", None)
    assert read.laws.trend == pytest.approx(assumed.laws.trend)
    np.testing.assert_allclose(np.sort(read.base_mean), np.sort(assumed.base_mean), rtol=1e-4)


def test_depth_makes_power(pilot):
    shallow, deep = (
        bde.power_study(
            pilot,
            options=bde.PowerOptions(
                replicates=(4,), effects=(1.0,), depth=depth, smallest_mean=0.0, genes=300, probes=100
            ),
        ).table["power"][0]
        for depth in (0.02, 1.0)
    )
    assert deep > shallow + 0.1


def test_what_is_refused(pilot, tmp_path):
    with pytest.raises(InputError, match="has no hyperparameters"):
        bde.power_study(tmp_path)
    with pytest.raises(InputError, match="no shrunken coefficient 'condition'"):
        bde.power_study(pilot, coefficient="condition")
    with pytest.raises(InputError, match="leave the pilot out, or the laws"):
        bde.power_study(pilot, laws=TYPICAL)
    with pytest.raises(InputError, match="give a pilot"):
        bde.power_study(coefficient="a")
    for bad in (
        {"replicates": (1, 3)},
        {"replicates": ()},
        {"effects": (0.0,)},
        {"target": 1.0},
        {"genes": 5},
    ):
        with pytest.raises(OptionError):
            bde.PowerOptions(**bad)


def test_the_picture(study):
    ax = power_plot(study)
    assert len(ax.containers) == 2
    assert ax.get_xlabel() == "replicates in each group"


def test_the_command(bayesde, tmp_path):
    options = ("--replicates", "2,4", "--lfc", "1", "--genes", "200", "--probes", "20", "--trend", "0.05,1")
    code, out, told = bayesde("power", *options, "-o", tmp_path / "plan")
    assert code == 0, told
    table = pd.read_csv(tmp_path / "plan" / "power.tsv", sep="\t")
    assert list(table["replicates"]) == [2, 4]
    assert list(table) == ["replicates", "effect", "power", "power_se", "found", "wrong_signs"]
    record = json.loads((tmp_path / "plan" / "power.json").read_text())
    assert record["laws"]["trend"] == [0.05, 1.0]
    assert record["laws"]["effect_scale"] == TYPICAL.effect_scale
    assert record["options"]["seed"] == 1
    assert (tmp_path / "plan" / "power.png").read_bytes().startswith(b"\x89PNG")
    assert f"{table['power'][0]:.2f}" in out
    assert "replicates per group find" in out
    code, _, told = bayesde("power", "--replicates", "one", "-o", tmp_path / "plan")
    assert code == 2
    assert "'one' is not understood" in told
