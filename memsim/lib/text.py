"""Text that may come from anywhere, made fit for one line of a terminal."""

from __future__ import annotations


def one_line(value: object, limit: int = 400) -> str:
    r"""value as text of at most limit characters; what cannot be printed is escaped.

    >>> one_line("a\nb\x1b[0m")
    'a\\nb\\x1b[0m'
    """
    huge = isinstance(value, int) and value.bit_length() > 4 * limit
    text = "a huge number" if huge else _text(value)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # a list with a huge number in it, or itself
        return f"a {type(value).__name__} that cannot be shown"
