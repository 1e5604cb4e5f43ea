"""Keys of blocks stand for all that draws depend on."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np

from bayesde.posterior.stan import blocks
from bayesde.posterior.stan.blocks import plan_blocks
from bayesde.stan_runtime import stan_source_dir


def keys(genes, size=5, **settings):
    return {tuple(block.rows): block.key for block in plan_blocks(genes, size, {"seed": 1, **settings})}


def test_every_gene_is_in_one_block_of_like_means(panel_genes):
    plan = plan_blocks(panel_genes, 7, {"seed": 1})
    rows = np.concatenate([block.rows for block in plan])
    assert sorted(rows) == list(range(40))
    assert (np.diff(panel_genes.model.base_mean[rows]) >= 0).all()
    assert [block.rows.size for block in plan] == [7] * 5 + [5]
    assert len({block.key for block in plan}) == len(plan)
    assert len({block.seed for block in plan}) == len(plan)


def test_genes_can_be_cut_in_another_order(panel_genes):
    order = np.arange(40)[::-1]
    plan = plan_blocks(panel_genes, 7, {"seed": 1}, order)
    np.testing.assert_array_equal(np.concatenate([block.rows for block in plan]), order)


def test_key_changes_with_everything_that_draws_depend_on(panel_genes):
    base = keys(panel_genes)
    assert keys(panel_genes) == base
    model, start = panel_genes.model, panel_genes.start
    changed = model.y.copy()
    changed[0, 0] += 1
    models = [
        {"x": model.x * 2.0},
        {"shrinkage_scale": model.shrinkage_scale * 1.001},
        {"dispersion_sd": 0.9},
        {"nu": 5.0},
        {"unshrunken_sd": 3.0},
        {"log_trend": model.log_trend + 1e-9},
        {"log_nf": model.log_nf + 1e-9},
    ]
    coordinates = [
        {name: getattr(panel_genes, name) + 1.0}
        for name in ("location", "scale", "width", "precision", "precision_times_mean")
    ]
    coordinates.append({"noncentered": ~panel_genes.noncentered})
    coordinates += [{"start": replace(start, **{name: getattr(start, name) + 1})} for name in vars(start)]
    others = [replace(panel_genes, model=replace(model, **part)) for part in models]
    others += [replace(panel_genes, **part) for part in coordinates]
    for other in others:
        assert not set(keys(other).values()) & set(base.values())
    assert not set(keys(panel_genes, seed=2).values()) & set(base.values())
    one_gene = keys(replace(panel_genes, model=replace(model, y=changed)))
    assert sum(one_gene[rows] != key for rows, key in base.items()) == 1


def test_sources_known_to_give_the_same_draws_keep_their_keys(panel_genes):
    old = "4271e22b6e600373fada2e9ba4c845e31d7daad7df257fbdea140baec7867d9a"
    assert blocks.source_hash("genes") in blocks.SAME_DRAWS, "new sources: see the docstring of SAME_DRAWS"
    assert blocks.program_hash("genes") == old
    assert blocks.program_hash("joint") == blocks.source_hash("joint") != old


def test_other_changes_of_the_sources_change_the_key(panel_genes, tmp_path, monkeypatch):
    base = keys(panel_genes)
    copy = tmp_path / "stan"
    shutil.copytree(stan_source_dir(), copy)
    monkeypatch.setattr(blocks, "stan_source_dir", lambda: copy)
    assert keys(panel_genes) == base
    part = copy / "functions" / "priors.stan"
    part.write_bytes(part.read_bytes() + b"// changed")
    assert blocks.program_hash("genes") == blocks.source_hash("genes")
    assert not set(keys(panel_genes).values()) & set(base.values())
