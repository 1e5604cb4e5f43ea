"""What the embedded front end says to arguments and files that it cannot use: one line, and not zero."""

from __future__ import annotations

import json
import subprocess

import pytest

BAD = [
    (["sample", "num_sample=3"], "unknown argument 'num_sample=3'"),
    (["nonsense"], "unknown argument 'nonsense'"),
    (["sample", "num_samples=-1"], "num_samples=-1 is not allowed"),
    (["sample", "num_samples=1.5"], "a whole number"),
    (["sample", "num_samples="], "num_samples= is not allowed"),
    (["sample", "num_samples"], "num_samples needs a value"),
    (["sample", "thin=0"], "thin=0 is not allowed"),
    (["sample", "save_warmup=2"], "0, 1, true or false"),
    (["sample", "adapt", "delta=1"], "both excluded"),
    (["sample", "adapt", "delta=nan"], "delta=nan is not allowed"),
    (["sample", "adapt=1"], "adapt=1 is not allowed"),
    (["sample", "num_warmup=0"], "adapt engaged=0"),
    (["sample", "adapt", "engaged=0", "save_metric=1"], "save_metric=1 is not allowed"),
    (["sample", "algorithm=static"], "one of hmc, fixed_param"),
    (["sample", "algorithm=hmc", "engine=static"], "one of nuts"),
    (["sample", "algorithm=hmc", "metric=full"], "one of unit_e, diag_e, dense_e"),
    (["sample", "algorithm=hmc", "stepsize=0"], "above 0"),
    (["sample", "algorithm=hmc", "metric_file=absent.json"], "cannot read file 'absent.json'"),
    (["method=mix"], "one of sample, optimize"),
    (["optimize", "algorithm=newton", "tol_obj=1"], "unknown argument 'tol_obj=1'"),
    (["optimize", "num_chains=2"], "unknown argument 'num_chains=2'"),
    (["laplace"], "laplace needs mode=FILE"),
    (["laplace", "mode=absent.csv"], "cannot read file 'absent.csv'"),
    (["generate_quantities"], "needs fitted_params=FILE"),
    (["log_prob"], "log_prob needs one of"),
    (["sample", "id=-1"], "id=-1 is not allowed"),
    (["sample", "random", "seed=4294967296"], "from 0 to 4294967295"),
    (["sample", "init=-1"], "init=-1 is not allowed"),
    (["sample", "init=absent.json"], "cannot read file 'absent.json'"),
    (["sample", "output", "sig_figs=19"], "from -1 to 18"),
    (["sample", "output", "file=absent/out.csv"], "cannot write to file 'absent/out.csv'"),
    (["sample", "num_threads=0"], "num_threads=0 is not allowed"),
    (["sample", "num_threads=2"], "compiled without STAN_THREADS"),
]


@pytest.fixture
def call(normal, known, tmp_path):
    (tmp_path / "data.json").write_text(json.dumps(known.data))

    def call(*arguments, data="data.json"):
        command = [normal.exe_file, *arguments, "data", f"file={data}"]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    return call


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_arguments(call, tmp_path, arguments, message):
    ran = call(*arguments)
    assert ran.returncode != 0
    assert ran.stderr.startswith("Error: ")
    assert ran.stderr.count("\n") == 1
    assert message in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]


def test_missing_and_broken_data(call, tmp_path):
    assert "cannot read file 'none.json'" in call("sample", data="none.json").stderr
    (tmp_path / "broken.json").write_text('{"N": 3, ')
    broken = call("sample", data="broken.json")
    assert broken.returncode != 0
    assert "in file 'broken.json'" in broken.stderr
    (tmp_path / "empty.json").write_text("{}")
    empty = call("sample", data="empty.json")
    assert empty.returncode != 0
    assert "variable name=N" in empty.stderr


def test_csv_of_another_model(call, tmp_path):
    (tmp_path / "other.csv").write_text("# comment\nlp__,beta\n-1,2\n")
    ran = call("generate_quantities", "fitted_params=other.csv")
    assert ran.returncode != 0
    assert "has no column 'mu'" in ran.stderr
    (tmp_path / "short.csv").write_text("lp__,mu,tau\n-1,2\n")
    assert "cut short" in call("generate_quantities", "fitted_params=short.csv").stderr
    (tmp_path / "bare.csv").write_text("lp__,mu,tau\n")
    assert "holds no draws" in call("generate_quantities", "fitted_params=bare.csv").stderr


def test_unconstrained_parameters(call, tmp_path):
    (tmp_path / "point.json").write_text('{"params_r": [1.0, 0.0]}')
    ran = call("log_prob", "unconstrained_params=point.json", "output", "file=out.csv")
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "point.json").write_text('{"params_r": [1.0]}')
    assert "the model has 2 parameters" in call("log_prob", "unconstrained_params=point.json").stderr


def test_info_and_r_dump_data(normal, call, embedded_home, tmp_path):
    info = subprocess.run([normal.exe_file, "info"], capture_output=True, text=True, check=True)
    assert f"stan_version_minor = {embedded_home.version.split('.')[1]}" in info.stdout
    (tmp_path / "data.R").write_text("N <- 1\ny <- c(1.5)\nsigma <- 1\ngrainsize <- 1\n")
    ran = call("optimize", "output", "file=out.csv", data="data.R")
    assert ran.returncode == 0, ran.stderr
