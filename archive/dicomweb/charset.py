"""The `charset` query parameter (PS3.18 §8.3.3.2): every answer is UTF-8."""

from collections.abc import Iterable

from archive.errors import BadRequestError

ACCEPTED = frozenset(("utf-8", "utf8", "*", ""))


def check_charset(values: Iterable[str]) -> None:
    """Raises BadRequestError where UTF-8 is not among the character sets that a value names."""
    for value in values:
        if not ACCEPTED & {part.partition(";")[0].strip().lower() for part in value.split(",")}:
            raise BadRequestError("Answers are in UTF-8 only.", parameter="charset")
