"""Elements of an HTML page: numbers, tables, lists and pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import pandas as pd

__all__ = ["bullets", "html_table", "number", "picture", "plain", "whole_page"]


def whole_page(title: str, subtitle: str, body: str) -> str:
    """Put a page together.

    Parameters
    ----------
    title, subtitle : str
        Text.
    body : str
        HTML.

    Returns
    -------
    str
        HTML.
    """
    template = files("bayesde.runs.reports").joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(title=escape(title), subtitle=escape(subtitle), body=body)


def plain(value: Any) -> str:
    """Write the value of an option; None is empty.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {plain(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        nested = any(isinstance(entry, list) for entry in value)
        return ("; " if nested else ", ").join(map(plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Write a number with three digits; NaN is empty.

    Parameters
    ----------
    value : float

    Returns
    -------
    str
    """
    if pd.isna(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".removesuffix(".")


def picture(png: bytes, caption: str) -> str:
    """Embed a picture with its caption.

    Parameters
    ----------
    png : bytes
    caption : str

    Returns
    -------
    str
        HTML.
    """
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def bullets(sentences: Sequence[str]) -> str:
    """Make a list of sentences.

    Parameters
    ----------
    sentences : sequence of str

    Returns
    -------
    str
        HTML; empty without sentences.
    """
    if not sentences:
        return ""
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Make a table of text.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
    numbers : iterable of int
        The columns that are aligned to the right.

    Returns
    -------
    str
        HTML.
    """
    kinds = [' class="number"' if place in set(numbers) else "" for place in range(len(header))]
    head = "".join(f"<th{kind}>{escape(text)}</th>" for kind, text in zip(kinds, header, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
