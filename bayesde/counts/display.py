"""The short tables that notebooks show for objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table"]


def html_table(rows: Iterable[Sequence[object]]) -> str:
    """Write a table of two columns, what and value, as HTML.

    Parameters
    ----------
    rows : iterable of (what, value)
        Text is escaped.

    Returns
    -------
    str
    """
    lines = (
        f'<tr><th style="text-align:left">{escape(str(what))}</th>'
        f'<td style="text-align:left">{escape(str(value))}</td></tr>'
        for what, value in rows
    )
    return f"<table>{''.join(lines)}</table>"
