"""The benchmarks run, compare what they time, and say why something was not measured."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.speed import growth, panel, report, sets
from benchmarks.speed.measure import Limits, MeasurementError, run_command, run_session
from benchmarks.speed.tools import TOOLS

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = Limits(repeats=2, timeout=3600.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """What a run on the tiny set writes, with a peer that cannot be had: there is no R on an empty path."""
    folder = tmp_path_factory.mktemp("results")
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed",
        "--sets",
        "tiny",
        "--only",
        "bayesde",
        "psis",
        "limma",
    ]
    ran = subprocess.run(
        [*command, "--repeats", "1", "--out", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return folder


def test_a_run_yields_tables(results):
    table = pd.read_csv(results / "speed.tsv", sep="\t")
    assert list(table.columns) == report.COLUMNS
    ours = table[table["tool"] == "bayesde eb"].set_index("task")
    assert list(ours.index) == ["fit", "results", "shrink", "test", "whole"]
    assert (ours["seconds"] > 0).all()
    assert (ours["ratio"] == 1).all()
    assert ours.loc["whole", "seconds"] == pytest.approx(ours["seconds"].iloc[:3].sum(), abs=3e-4)
    assert "simulated, 400 genes x 6 samples" in (results / "speed.md").read_text()


def test_a_posterior_is_the_whole_analysis(results):
    table = pd.read_csv(results / "speed.tsv", sep="\t")
    psis = table[table["tool"] == "bayesde psis"].set_index("task")
    assert list(psis.index) == ["fit", "results", "whole"]
    assert (psis["agrees"] == "yes").all()
    ours = table[table["tool"] == "bayesde eb"].set_index("task")
    expected = psis.loc["whole", "seconds"] / ours.loc["whole", "seconds"]
    assert psis.loc["whole", "ratio"] == pytest.approx(expected, rel=0.02)
    assert "genes with a status that says no" in psis["note"].iloc[0]


def test_a_peer_that_cannot_be_had_is_a_row_with_the_reason(results):
    table = pd.read_csv(results / "speed.tsv", sep="\t").set_index("tool")
    assert "R is not installed" in table.loc["limma voom (R)", "note"]
    assert np.isnan(table.loc["limma voom (R)", "seconds"])


def fake_tool(path: Path, run: str) -> list[str]:
    """Write a program that talks as peers/worker.py does, and does `run` when asked to."""
    program = f"""
        import sys, time
        answer = sys.argv[1]
        print("chatter"); print('@@ {{"event": "ready", "version": "1"}}', flush=True)
        for line in sys.stdin:
            if line.strip() != "run":
                break
            {run}
            print('@@ {{"event": "done", "steps": {{"fit": 0.25, "results": 0.5}}}}', flush=True)
        open(answer, "w").write("gene\\n")
        print('@@ {{"event": "answered"}}', flush=True)
    """
    path.write_text(textwrap.dedent(program))
    return [sys.executable, str(path), str(path.with_suffix(".answer"))]


def test_seconds_calls_and_peak_memory_of_a_session(tmp_path):
    command = fake_tool(tmp_path / "tool.py", "block = bytearray(b'1') * 150_000_000; del block")
    session = run_session(command, Path(command[-1]), QUICK)
    assert session.first.seconds == 0.75
    assert len(session.warm) == 2
    assert session.peak_mb == pytest.approx(150e6 / 2**20, rel=0.15)


CHILD = """
import time
block = bytearray(b"1") * 120_000_000
while time.process_time() < 1.5:
    pass
"""


def test_memory_and_processor_time_of_children_count(tmp_path):
    (tmp_path / "child.py").write_text(CHILD)
    run = f"import subprocess; subprocess.run([sys.executable, {str(tmp_path / 'child.py')!r}])"
    command = fake_tool(tmp_path / "tool.py", run)
    session = run_session(command, Path(command[-1]), Limits(repeats=0, timeout=3600.0))
    assert session.peak_mb > 100.0
    assert session.first.cpu > 1.4


def test_a_slow_first_call_is_not_repeated(tmp_path):
    command = fake_tool(tmp_path / "tool.py", "pass")
    session = run_session(command, Path(command[-1]), Limits(repeats=3, slow=0.5))
    assert session.warm == ()
    assert session.representative == (session.first,)


def test_a_tool_that_fails_gives_its_reason_without_folders(tmp_path):
    command = fake_tool(tmp_path / "tool.py", "raise OSError('cannot read /some/where/counts.tsv')")
    with pytest.raises(MeasurementError, match=r"^OSError: cannot read counts\.tsv$"):
        run_session(command, Path(command[-1]), QUICK)


def test_a_tool_that_hangs_is_stopped(tmp_path):
    command = fake_tool(tmp_path / "tool.py", "time.sleep(600)")
    with pytest.raises(MeasurementError, match="too long"):
        run_session(command, Path(command[-1]), Limits(timeout=2.0))


def test_a_command_that_fails_gives_its_last_line():
    command = [sys.executable, "-c", "import sys; sys.exit('no such design')"]
    with pytest.raises(MeasurementError, match="no such design"):
        run_command(command, {}, 3600.0)


def test_a_wrong_answer_does_not_agree():
    rng = np.random.default_rng(1)
    ours = pd.DataFrame({"base_mean": np.full(500, 50.0), "log2_fold_change": rng.normal(size=500)})
    swapped = ours.assign(log2_fold_change=-ours["log2_fold_change"])
    noisy = ours.assign(log2_fold_change=ours["log2_fold_change"] + rng.normal(0.0, 0.2, 500))
    assert report.agreement(ours, ours).holds(TOOLS["deseq2"])
    assert not report.agreement(swapped, ours).holds(TOOLS["limma"])
    assert report.agreement(noisy, ours).holds(TOOLS["limma"])  # another model is allowed to differ
    assert not report.agreement(noisy, ours).holds(TOOLS["deseq2"])


def test_ratios_are_of_the_same_set_and_task_and_only_of_right_answers():
    rows = [
        {"set": name, "tool": tool, "task": task, "seconds": seconds, "agrees": agrees}
        for name, tool, task, seconds, agrees in (
            ("a", "bayesde eb", "test", 2.0, "yes"),
            ("a", "bayesde eb", "whole", 4.0, "yes"),
            ("b", "bayesde eb", "test", 8.0, "yes"),
            ("a", "other", "whole", 10.0, "yes"),
            ("b", "other", "test", 2.0, "yes"),
            ("a", "other", "test", 3.0, "NO"),
        )
    ]
    ratios = report.tidy(rows)["ratio"].to_numpy()
    np.testing.assert_array_equal(ratios, [1.0, 1.0, 1.0, 2.5, 0.25, np.nan])


def test_simulated_sets_are_two_groups_of_the_size_that_was_asked_for():
    data = sets.simulated("some", 1_000, 7)
    counts = data.load()
    assert counts.matrix.shape == (1_000, 7)
    assert counts.sample_table[data.factor].tolist() == [data.reference] * 3 + [data.level] * 4
    np.testing.assert_array_equal(counts.matrix, sets.simulate_counts(1_000, 7, seed=1).matrix)
    normalized = counts.matrix / (counts.matrix.sum(axis=0) / counts.matrix.sum(axis=0).mean())
    assert np.median(normalized.mean(axis=1)) == pytest.approx(90.0, rel=0.2)


def test_the_slope_is_the_exponent_of_the_upper_half():
    value = np.array([1.0, 10.0, 100.0, 1000.0])
    assert growth.slope(value, np.array([5.0, 5.0, 2.0, 2.0 * 10**1.2])) == pytest.approx(1.2)
    assert np.isnan(growth.slope(value[:1], value[:1]))


def test_growth_is_written_as_table_page_and_picture(tmp_path):
    table = pd.DataFrame(
        {
            "axis": ["genes", "genes", "samples", "samples"],
            "genes": [100, 1000, 50, 50],
            "samples": [8, 8, 10, 100],
            "value": [100, 1000, 10, 100],
            "seconds": [0.1, 1.0, 0.1, 0.1],
            "cpu_seconds": [0.1, 1.0, 0.1, 0.1],
            "peak_mb": [1.0, 10.0, 1.0, 2.0],
            "process_mb": [101.0, 110.0, 101.0, 102.0],
            "repeats": [2, 2, 2, 2],
        }
    )
    growth.write(tmp_path, growth.SERIES["growth"], table, {"Date": "today"})
    assert {path.name for path in tmp_path.iterdir()} == {"growth.tsv", "growth.md", "growth.png"}
    assert (tmp_path / "growth.png").read_bytes()[:4] == b"\x89PNG"
    assert "| 1,000 | 8 | 1 |" in (tmp_path / "growth.md").read_text()


def panel_rows(tool, genes, seconds, sizes, rhat=1.0, **more):
    names = [f"parameter {i}" for i in range(len(sizes))]
    common = {
        "tool": tool,
        "genes": genes,
        "seconds": seconds,
        "cpu_seconds": 2.0 * seconds,
        "process_mb": 300.0,
    }
    values = {"mean": 0.1, "sd": 0.01, "rhat": rhat} | more
    return pd.DataFrame({"name": names, "ess_bulk": sizes}).assign(**common, **values)


CHAINS = {
    "chains": 4,
    "warmup": 200,
    "draws": 200,
    "gradients": 900.0,
    "divergences": 3,
    "treedepth_hits": 400,
}


@pytest.fixture
def panel_table():
    """Joint: 50 s for 400 draws of the worst; the plain program: 100 s for 20, which have not mixed."""
    nuts = pd.DataFrame([{"tool": panel.NUTS, "genes": 200, "name": "genes", "seconds": 3.0, "sampled": 40}])
    nuts = nuts.assign(ess_bulk=900.0, rhat=1.004, again=2, **CHAINS)
    return pd.concat(
        [
            panel_rows("bayesde joint", 200, 50.0, [800.0, 400.0], **CHAINS),
            panel_rows("plain Stan program", 200, 100.0, [20.0, 90.0], rhat=1.3, **CHAINS),
            panel_rows("bayesde psis", 200, 1.0, [50.0, 200.0], rhat=np.nan),
            nuts,
            pd.DataFrame(
                [{"tool": "plain Stan program", "genes": 900, "note": "stopped, as it took too long"}]
            ),
        ],
        ignore_index=True,
    )


def test_an_effective_draw_costs_what_the_worst_hyperparameter_takes(panel_table):
    found = panel.costs(panel_table).set_index("tool")
    assert list(found.index) == ["bayesde joint", "plain Stan program", "bayesde psis"]
    np.testing.assert_allclose(found["per_100"], [12.5, 500.0, 2.0])
    np.testing.assert_allclose(found["ratio"], [1.0, 40.0, 0.16])
    assert list(found["worst"]) == ["parameter 1", "parameter 0", "parameter 0"]


def test_the_panel_is_written_with_what_failed_and_what_is_extrapolated(panel_table, tmp_path):
    panel.write(tmp_path, panel_table, {"Date": "today"})
    text = (tmp_path / "panel.md").read_text()
    assert "20 (not converged)" in text
    assert "75 ms per gene (extrapolated to 20,000 genes: 25 min)" in text
    assert "plain Stan program, 900 genes: stopped" in text
    assert len(pd.read_csv(tmp_path / "panel.tsv", sep="\t")) == len(panel_table)


def test_a_posterior_is_compared_with_shrunken_effects_only():
    rng = np.random.default_rng(2)
    shrunken = rng.normal(size=500)
    ours = pd.DataFrame({"base_mean": 50.0, "log2_fold_change": rng.normal(size=500), "shrunken": shrunken})
    posterior = ours.assign(log2_fold_change=shrunken)
    assert report.agreement(posterior, ours).holds(TOOLS["psis"])
    assert not report.agreement(posterior.assign(shrunken=-shrunken), ours).holds(TOOLS["psis"])
