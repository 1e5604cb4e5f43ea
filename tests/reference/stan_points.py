"""Random data and parameters for the Stan programs, ordinary and extreme."""

from __future__ import annotations

import numpy as np

from bayesde.posterior.stan.levels import NO_DATA

N_SAMPLES, N_COEFFICIENTS = 6, 3


def block_data(rng: np.random.Generator, n_genes: int = 4, extreme: bool = False, random=(), **flags) -> dict:
    """Data common to both programs; with extreme, counts to 1e7, a zero row, and a gene close to Poisson.

    `random` has the number of levels of every random effect; the second one is a slope.
    """
    n_samples, n_coefficients, n_random = N_SAMPLES, N_COEFFICIENTS, len(random)
    x = np.column_stack([np.ones(n_samples), np.arange(n_samples) % 2, rng.normal(size=n_samples)])
    means = 10.0 ** rng.uniform(0, 4, n_genes)
    y = rng.negative_binomial(2, 2 / (2 + means[:, None]), (n_genes, n_samples))
    if extreme:
        y[0] = [9_999_991, 10_000_000, 9_800_000, 9_999_000, 10_100_000, 10_000_002]
        y[1] = 0
        y[2] = [3, 0, 1, 2, 0, 7]
    log_nf = rng.normal(0, 0.3, (n_genes, n_samples)) * (0 if extreme else 1)
    size = n_coefficients + n_random + 1
    triangle = np.triu(rng.normal(0, 0.1, (n_genes, size, size)), 1)
    diagonal = np.eye(size) * rng.uniform(0.1, 0.5, (n_genes, 1, size))
    location = np.zeros((n_genes, size))
    location[:, 0] = np.log(y.mean(axis=1) + 0.1)
    location[:, n_coefficients:] = -1.5
    shrunken = np.array([0, 1, 1])
    may_be = np.append(shrunken, [1] * (n_random + 1)) * (not extreme)
    noncentered = rng.integers(0, 2, (n_genes, size)) * may_be
    width = rng.uniform(0.01, 2.0, (n_genes, n_coefficients)) * rng.integers(0, 2, (n_genes, n_coefficients))
    precision = rng.uniform(0.0, 5.0, n_genes) * rng.integers(0, 2, n_genes)
    return {
        "G": n_genes,
        "N": n_samples,
        "P": n_coefficients,
        "y": y.tolist(),
        "x": x.tolist(),
        **random_effects(rng, n_genes, random),
        "log_nf": log_nf.tolist(),
        "location": location.tolist(),
        "scale": (triangle + diagonal).tolist(),
        "noncentered": noncentered.tolist(),
        "width": width.tolist(),
        "precision": precision.tolist(),
        "precision_times_mean": (precision * rng.normal(-2, 1, n_genes)).tolist(),
        "shrunken": shrunken.tolist(),
        "unshrunken_sd": 15.0,
        **effect_laws([0, 0, 0]),
        "residuals": 0,
        "use_likelihood": 1,
        **flags,
    }


def random_effects(rng: np.random.Generator, n_genes: int, sizes) -> dict:
    """Random effects of so many levels."""
    if not sizes:
        return NO_DATA
    n, total = len(sizes), sum(sizes)
    level = [rng.permutation(np.arange(N_SAMPLES) % size + 1).tolist() for size in sizes]
    covariate = np.ones((n, N_SAMPLES))
    covariate[1:] = rng.normal(size=(n - 1, N_SAMPLES))
    precision = rng.uniform(0, 30, (n_genes, total)) * rng.integers(0, 2, (n_genes, total))
    of_sds = rng.uniform(0, 5, (n_genes, n))
    return {
        "R": n,
        "n_levels": list(sizes),
        "level": level,
        "covariate": covariate.tolist(),
        "L": total,
        "level_precision": precision.tolist(),
        "level_precision_times_mean": (precision * rng.normal(0, 0.5, (n_genes, total))).tolist(),
        "level_by_coefficient": (
            precision[:, :, None] * rng.normal(0, 0.5, (n_genes, total, N_COEFFICIENTS))
        ).tolist(),
        "random_sd_precision": of_sds.tolist(),
        "random_sd_precision_times_mean": (of_sds * rng.normal(-1, 1, (n_genes, n))).tolist(),
    }


def effect_laws(effects: list[int]) -> dict:
    """Laws of the effects; a mixture has a normal, a Student-t and a narrow normal component."""
    mixtures = effects.count(2)
    return {
        "effects": effects,
        "components_of": [3 * (kind == 2) for kind in effects],
        "component_weight": [0.5, 0.2, 0.3] * mixtures,
        "component_scale": [0.4, 1.3, 0.01] * mixtures,
        "component_nu": [np.inf, 3.0, np.inf] * mixtures,
    }


def genes_data(rng: np.random.Generator, **flags) -> dict:
    data = block_data(rng, **flags)
    data.update(
        shrinkage_scale=[1.0, 0.02, 0.7],
        effect_nu=data.get("effect_nu", [1.0, 1.0, 1.0]),
        log_trend=rng.normal(-2, 1, data["G"]).tolist(),
        dispersion_sd=0.8,
        nu=4.5,
        random_sd_center=[-1.2, -0.7][: data["R"]],
        random_sd_spread=[0.6, 1.1][: data["R"]],
    )
    return data


def joint_data(
    rng: np.random.Generator, trend: int = 1, scale_of=(0, 1, 2), nu_of=(0, 0, 0), **flags
) -> dict:
    data = block_data(rng, **flags)
    data.update(
        base_mean=(10.0 ** rng.uniform(0, 4, data["G"])).tolist(),
        K=max(scale_of),
        scale_of=list(scale_of),
        log_scale_mean=[-1.6, -1.2][: max(scale_of)],
        log_scale_sd=[1.5, 0.7][: max(scale_of)],
        M=max(nu_of),
        nu_of=list(nu_of),
        effect_nu_value=data.get("effect_nu_value", [1.0, 1.0, 1.0]),
        log_effect_nu_mean=[1.6, 1.1][: max(nu_of)],
        log_effect_nu_sd=[1.2, 0.9][: max(nu_of)],
        dispersion_sd_prior=data.get("dispersion_sd_prior", 0),
        dispersion_sd_hyper=[3.0, 0.0, 1.2] if data.get("dispersion_sd_prior") else [-0.3, 0.9, 1.0],
        log_asymptotic_dispersion_mean=-3.0,
        log_asymptotic_dispersion_sd=2.0,
        log_extra_poisson_mean=0.5,
        log_extra_poisson_sd=2.0,
        nu_known=data.get("nu_known", 0),
        nu_value=6.0,
        nu_shape=2.0,
        nu_rate=0.1,
        random_sd_law_mean=[[-1.2, -0.4], [-0.9, -0.1]][: data["R"]],
        random_sd_law_sd=[[1.0, 0.7], [0.8, 0.5]][: data["R"]],
        trend=trend,
        grainsize=2,
    )
    return data


def genes_point(rng: np.random.Generator, data: dict, extreme: bool = False) -> dict:
    z = rng.normal(size=(data["G"], data["P"] + data["R"] + 1 + data["L"]))
    if extreme:  # log dispersions where they are hardest: near Poisson, far from it, and on a huge count
        theta = rng.normal(data["location"], 0.2)
        theta[0, 1:] *= 0.01
        theta[:, -1] = np.log(rng.permutation([1e-8, 1e3, 1e-5, 0.3])[: data["G"]])
        theta[0, 0] = np.log(1e7)
        gap = theta - np.asarray(data["location"])
        z = np.linalg.solve(np.asarray(data["scale"]), gap[:, :, None])[:, :, 0]
    return {"z": z.tolist()}


def joint_point(rng: np.random.Generator, data: dict, extreme: bool = False) -> dict:
    sampled_nu = data["residuals"] == 1 and data["nu_known"] == 0
    return {
        **genes_point(rng, data, extreme),
        "log_shrinkage_scale": rng.normal(-1.5, 1, data["K"]).tolist(),
        "log_effect_nu": rng.normal(1.6, 0.6, data["M"]).tolist(),
        "log_dispersion_sd": float(rng.normal(-0.3, 0.5)),
        "log_asymptotic_dispersion": float(rng.normal(-3, 1)),
        "log_extra_poisson": rng.normal(0.5, 1, data["trend"]).tolist(),
        "random_sd_law": rng.normal([-1.2, -0.4] * data["R"], 0.4).tolist(),
        "nu": (2 + rng.gamma(2, 5, int(sampled_nu))).tolist(),
    }


def gradient(function, vector: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Central differences of fourth order, in extended precision."""
    step = np.longdouble(step)
    result = np.empty(len(vector))
    for i in range(len(vector)):
        values = []
        for shift in (-2, -1, 1, 2):
            moved = np.asarray(vector, np.longdouble).copy()
            moved[i] += shift * step
            values.append(function(moved))
        result[i] = float((values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step))
    return result
