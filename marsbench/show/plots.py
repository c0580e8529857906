"""The file that a plot is written to."""

from __future__ import annotations

from pathlib import Path

from marsbench.errors import UsageError

FORMATS = (".png", ".svg", ".pdf")


def require_plot(path: Path, example: str) -> None:
    """Fail before matplotlib is loaded, for that takes longer than the mistake.

    Raises UsageError when the ending is unknown or the place cannot be written.
    """
    if path.suffix not in FORMATS:
        raise UsageError(
            f"Cannot plot to {path}: give a file that ends in {', '.join(FORMATS[:-1])} or "
            f"{FORMATS[-1]}, for example --plot {example}."
        )
    try:
        path.open("ab").close()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"Cannot write the figure to {path} ({why}); give a file in a folder that exists."
        ) from error
