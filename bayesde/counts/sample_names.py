"""Sample names that differ only in what programs change: R's make.names, folders, file endings."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable

import pandas as pd

from bayesde.errors import BayesdeNote

__all__ = ["likely_pairs", "listed_pairs", "matched_names", "parts_of_names", "warn_matched"]

# Endings that aligners, sorting and counting programs append to a sample's name; removed repeatedly.
_ENDING = re.compile(
    r"(?:[._-]*(?:readspergene|aligned(?:[._-]?out)?)|[._-]+(?:"
    r"gz|bz2|xz|bam|sam|cram|sf|txt|tsv|csv|tab|out|results|genes|isoforms|counts?|htseq(?:[._-]?counts?)?"
    r"|feature[._-]?counts?|quant|abundance|salmon|kallisto|rsem|star|hisat2?|tophat2?"
    r"|sortedbycoord(?:inate)?|sortedbyname|totranscriptome|sorted|sort|dedup(?:ed|licated)?"
    r"|markdup(?:licates)?|rmdup|md|uniq(?:ue)?|filtered|mapped|accepted_hits|trimmed|val_[12]|fastq|fq"
    r"|r[12](?:_001)?|l00\d|s\d+_l00\d"
    r"))$",
    re.IGNORECASE,
)


def _made(name: str) -> str:
    """Convert a name as R's make.names does."""
    valid = re.sub(r"[^\w.]", ".", name)
    return valid if re.match(r"[^\W\d_]|\.(?!\d)", valid) else f"X{valid}"


def _without_endings(name: str) -> str:
    """Remove folders and endings from a name."""
    bare = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    while (shorter := _ENDING.sub("", bare)) and shorter != bare:
        bare = shorter
    return bare


def _of_folder(name: str) -> str:
    """Return the last folder of a path, for files that have the same name in every folder."""
    parts = [part for part in re.split(r"[/\\]", name) if part]
    return _without_endings(parts[-2]) if len(parts) > 1 else _without_endings(name)


def _letters(name: str) -> str:
    """Reduce a name to lower-case letters and digits, without the X that make.names prepends to digits."""
    joined = re.sub(r"(?<=\d)[\W_]+(?=\d)", "|", _without_endings(_undotted(name)).casefold())
    return re.sub(r"[^\w|]|_", "", joined)


def _undotted(name: str) -> str:
    """Undo the X that make.names prepends, so that endings are recognized."""
    return re.sub(r"^X(?=[\d.])", "", name)


# From the most to the least certain match.
_KEYS: tuple[Callable[[str], str], ...] = (
    _made,
    _without_endings,
    lambda name: _made(_without_endings(_undotted(name))),
    _of_folder,
    lambda name: _made(_of_folder(_undotted(name))),
    _letters,
)


def likely_pairs(wanted: pd.Index, given: pd.Index) -> dict[str, str]:
    """Pair names that differ but are alike.

    Parameters
    ----------
    wanted, given : pandas.Index of str
        Names on both sides, without duplicates.

    Returns
    -------
    dict of str to str
        Name given by name wanted, for those of `wanted` that are not among `given`; one-to-one pairs only.
    """
    left = [name for name in wanted if name not in given]
    right = [name for name in given if name not in wanted]
    pairs: dict[str, str] = {}
    for key in _KEYS:
        keys = [{name: key(name) for name in names} for names in (left, right)]
        sizes = [Counter(by_name.values()) for by_name in keys]
        by_key = {value: name for name, value in keys[1].items()}
        found = {
            name: by_key[value]
            for name, value in keys[0].items()
            if value and sizes[0][value] == 1 and sizes[1][value] == 1
        }
        pairs |= found
        left = [name for name in left if name not in found]
        right = [name for name in right if name not in found.values()]
    return pairs


def parts_of_names(wanted: pd.Index, given: pd.Index) -> dict[str, str]:
    """Pair names of which one contains the other: a hint for a message, too weak to match by.

    Parameters
    ----------
    wanted, given : pandas.Index of str

    Returns
    -------
    dict of str to str
        Name given by name wanted, where there is exactly one candidate.
    """
    left = [name for name in wanted if name not in given]
    right = [name for name in given if name not in wanted]
    found = [(one, other) for one in left for other in right if _is_part(one, other) or _is_part(other, one)]
    sizes = [Counter(pair[side] for pair in found) for side in (0, 1)]
    return {one: other for one, other in found if sizes[0][one] == sizes[1][other] == 1}


def _is_part(whole: str, part: str) -> bool:
    """Return whether a name contains another, not within a word or number."""
    bare, inner = (_made(_undotted(name)).casefold().removeprefix("x") for name in (whole, part))
    return bool(inner) and re.search(rf"(?<![a-z\d]){re.escape(inner)}(?![a-z\d])", bare) is not None


def matched_names(wanted: pd.Index, given: pd.Index) -> dict[str, str] | None:
    """Pair all names that differ; None unless that is possible one to one.

    Parameters
    ----------
    wanted, given : pandas.Index of str

    Returns
    -------
    dict of str to str, or None
        Name given by name wanted; empty where all are the same.
    """
    pairs = likely_pairs(wanted, given)
    alone = [name for name in wanted if name not in given]
    return pairs if len(wanted) == len(given) and len(pairs) == len(alone) else None


def warn_matched(pairs: dict[str, str], what: str = "sample table") -> None:
    """Note which names were taken for the same.

    Parameters
    ----------
    pairs : dict of str to str
        Name in the other table by name in the counts; without any there is no note.
    what : str
        The other table.

    Warns
    -----
    BayesdeNote
    """
    if pairs:
        warnings.warn(
            f"samples of the counts and of the {what} are matched although their names differ: "
            f"{listed_pairs(pairs.items(), 'is')}.",
            BayesdeNote,
            stacklevel=4,
        )


def listed_pairs(pairs: Iterable[tuple[str, str]], verb: str) -> str:
    """Write out pairs of names, at most ten.

    Parameters
    ----------
    pairs : iterable of (str, str)
    verb : str
        What stands between the two.

    Returns
    -------
    str
    """
    texts = [f"'{one}' {verb} '{other}'" for one, other in pairs]
    more = f" and {len(texts) - 10} more" if len(texts) > 10 else ""
    return ", ".join(texts[:10]) + more
