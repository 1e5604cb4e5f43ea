"""Each Stan program's log density against the same density written from the formulas in NumPy."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from reference.log_density import genes_log_density, joint_log_density
from reference.stan_points import (
    effect_laws,
    genes_data,
    genes_point,
    gradient,
    joint_data,
    joint_point,
)

from bayesde.stan_runtime import compiled_model, ensure_cmdstan, stan_source_dir

pytestmark = pytest.mark.usefixtures("cmdstan")

FALSE_POSITIVES = ("has no priors", "The variable some_genes may not")  # priors that come as data; reduce_sum


@pytest.fixture(scope="module")
def programs():
    return {"genes": compiled_model("genes"), "joint": compiled_model("joint", threads=True)}


def stan_log_prob(model, data, point, jacobian):
    row = model.log_prob(point, data, jacobian=jacobian, sig_figs=18).iloc[0]
    return row["lp__"], row.drop("lp__").to_numpy(dtype=float)


def assert_close(got, expected, tolerance):
    assert abs(got - float(expected)) <= tolerance * max(1.0, abs(float(expected)))


@pytest.mark.parametrize(
    "flags",
    [
        {"residuals": 0},
        {"residuals": 1},
        {"residuals": 1, "use_likelihood": 0},
        {"residuals": 0, "n_genes": 1},
        {**effect_laws([0, 1, 1]), "effect_nu": [1.0, 4.0, 0.8]},
        {**effect_laws([0, 1, 0]), "effect_nu": [1.0, 3e3, 1.0], "residuals": 1},
        {**effect_laws([0, 2, 1]), "effect_nu": [1.0, 1.0, 7.5], "use_likelihood": 0},
        effect_laws([0, 2, 2]),
        {"random": (3,)},
        {"random": (2, 4), "residuals": 1},
        {"random": (3, 2), "use_likelihood": 0},
    ],
)
def test_genes_density_and_gradient(programs, flags):
    rng = np.random.default_rng(11)
    data = genes_data(rng, **flags)
    for _ in range(6):
        point = genes_point(rng, data)
        z = np.asarray(point["z"])

        def reference(vector, data=data, shape=z.shape):
            return genes_log_density(data, np.reshape(vector, shape))

        value, slope = stan_log_prob(programs["genes"], data, point, jacobian=True)
        assert_close(value, reference(z.ravel()), 1e-10)
        np.testing.assert_allclose(slope, gradient(reference, z.ravel()), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("residuals", [0, 1])
def test_genes_density_at_extremes(programs, residuals):
    rng = np.random.default_rng(12)
    data = genes_data(rng, extreme=True, residuals=residuals)
    for _ in range(2):
        point = genes_point(rng, data, extreme=True)
        value, _ = stan_log_prob(programs["genes"], data, point, jacobian=True)
        assert_close(value, genes_log_density(data, np.asarray(point["z"])), 1e-9)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"residuals": 1},
        {"residuals": 1, "nu_known": 1, "trend": 0},
        {"dispersion_sd_prior": 1, "trend": 0, "n_genes": 1},
        {"use_likelihood": 0, "residuals": 1, "dispersion_sd_prior": 1},
        {"scale_of": (0, 1, 1)},
        {"shrunken": [0, 0, 1], "scale_of": (0, 0, 1), "noncentered": [[0] * 4] * 4},
        {"shrunken": [0, 0, 0], "scale_of": (0, 0, 0), "noncentered": [[0, 0, 0, 1]] * 4},
        {**effect_laws([0, 1, 1]), "nu_of": (0, 1, 2)},
        {**effect_laws([0, 1, 1]), "nu_of": (0, 1, 1), "scale_of": (0, 1, 1), "residuals": 1},
        {**effect_laws([0, 1, 1]), "nu_of": (0, 0, 1), "effect_nu_value": [1.0, 0.8, 1.0]},
        {**effect_laws([0, 1, 2]), "nu_of": (0, 1, 0), "scale_of": (0, 1, 0)},
        {**effect_laws([0, 2, 2]), "scale_of": (0, 0, 0), "trend": 0},
        {"random": (3,)},
        {"random": (2, 4), "residuals": 1, "trend": 0},
    ],
)
def test_joint_density_and_gradient(programs, flags):
    rng = np.random.default_rng(13)
    data = joint_data(rng, **flags)
    for _ in range(5):
        point = joint_point(rng, data)
        value, slope = stan_log_prob(programs["joint"], data, point, jacobian=False)
        assert_close(value, joint_log_density(data, point), 1e-10)
        with_jacobian, _ = stan_log_prob(programs["joint"], data, point, jacobian=True)
        assert_close(with_jacobian, joint_log_density(data, point, jacobian=True), 1e-10)
        np.testing.assert_allclose(slope, joint_gradient(data, point), rtol=1e-7, atol=1e-7)


def joint_gradient(data, point):
    """Finite differences over the unconstrained parameters, in the order of their declaration."""
    names = [
        "z",
        "log_shrinkage_scale",
        "log_effect_nu",
        "log_dispersion_sd",
        "log_asymptotic_dispersion",
        "log_extra_poisson",
        "random_sd_law",
        "nu",
    ]
    free = {**point, "nu": np.log(np.asarray(point["nu"]) - 2)}
    sizes = np.cumsum([np.size(free[name]) for name in names])[:-1]

    def density(vector):
        parts = dict(zip(names, np.split(vector, sizes), strict=True))
        moved = {name: np.reshape(parts[name], np.shape(free[name])) for name in names}
        return joint_log_density(data, {**moved, "nu": 2 + np.exp(moved["nu"])})

    return gradient(density, np.concatenate([np.ravel(free[name]) for name in names]))


def test_joint_density_at_extremes(programs):
    rng = np.random.default_rng(14)
    data = joint_data(rng, extreme=True)
    point = joint_point(rng, data, extreme=True)
    value, _ = stan_log_prob(programs["joint"], data, point, jacobian=False)
    assert_close(value, joint_log_density(data, point), 1e-9)


def test_joint_refuses_a_noncentered_coefficient_that_is_not_shrunken(programs):
    rng = np.random.default_rng(15)
    data = joint_data(rng)
    data["noncentered"][2][0] = 1
    with pytest.raises(RuntimeError):
        programs["joint"].log_prob(joint_point(rng, data), data)


@pytest.mark.parametrize("scale_of", [(1, 1, 2), (0, 0, 2)])
def test_joint_refuses_scales_that_do_not_go_with_what_is_shrunken(programs, scale_of):
    rng = np.random.default_rng(16)
    data = joint_data(rng) | {"scale_of": scale_of}
    with pytest.raises(RuntimeError):
        programs["joint"].log_prob(joint_point(rng, data), data)


@pytest.mark.parametrize("nu_of", [(1, 0, 0), (0, 1, 2)])
def test_joint_refuses_degrees_of_freedom_where_no_prior_is_student_t(programs, nu_of):
    rng = np.random.default_rng(17)
    data = joint_data(rng, **effect_laws([0, 1, 0]), nu_of=nu_of)
    with pytest.raises(RuntimeError):
        programs["joint"].log_prob(joint_point(rng, data), data)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"component_scale": [0.4, 1.3, 0.0]}, "Stan cannot sample a point mass at zero"),
        ({"component_weight": [0.4, 0.2, 0.3]}, "must add up to 1"),
        ({"effects": [0, 1, 0]}, "must have components if effects is 2, and none if it is not"),
    ],
)
def test_a_mixture_that_is_none_is_refused(programs, changed, message, tmp_path):
    rng = np.random.default_rng(18)
    data = genes_data(rng, **effect_laws([0, 2, 0])) | changed
    (tmp_path / "data.json").write_text(json.dumps(data))
    command = [programs["genes"].exe_file, "sample", "data", f"file={tmp_path / 'data.json'}"]
    command += ["output", f"file={tmp_path / 'out.csv'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["genes", "joint"])
def test_student_t_with_one_degree_of_freedom_is_cauchy(programs, name):
    """Centered and not, with and without a width."""
    rng = np.random.default_rng(19)
    make, point_of = {"genes": (genes_data, genes_point), "joint": (joint_data, joint_point)}[name]
    cauchy = make(rng)
    assert any(row[1] for row in cauchy["noncentered"])
    point = point_of(rng, cauchy)
    values, slopes = zip(
        *(
            stan_log_prob(programs[name], cauchy | {"effects": effects}, point, jacobian=False)
            for effects in ([0, 0, 0], [0, 1, 1])
        ),
        strict=True,
    )
    assert_close(values[1], values[0], 1e-12)
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["genes", "joint"])
def test_pedantic_compiler_has_nothing_to_say(name, tmp_path):
    folder = stan_source_dir()
    stanc = ensure_cmdstan().path / "bin" / "stanc"
    command = [stanc, "--warn-pedantic", f"--include-paths={folder}", f"--o={tmp_path / 'out.hpp'}"]
    done = subprocess.run([*command, folder / f"{name}.stan"], capture_output=True, text=True, check=True)
    said = " ".join((done.stdout + done.stderr).split())
    warnings = [part for part in said.split("Warning") if part.strip()]
    assert [text for text in warnings if not any(known in text for known in FALSE_POSITIVES)] == []
