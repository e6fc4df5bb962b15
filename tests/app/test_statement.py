"""The conformance statement that is shipped is the one that the code makes."""

from pathlib import Path

from servers import ROOT, lightbox

from archive.app import TABLES
from archive.attributes import ATTRIBUTES
from archive.cli.statement import statement
from wado.pixels.transcode import TRANSCODINGS

SHIPPED = ROOT / "conformance" / "STATEMENT.md"


def test_the_shipped_statement_has_not_drifted() -> None:
    assert SHIPPED.read_text() == statement(), "Run: lightbox conformance-statement --output conformance/STATEMENT.md"


def test_it_names_every_transaction_key_and_transfer_syntax() -> None:
    said = statement()
    for table in TABLES.values():
        for one in table:
            assert f"| {one.name} | {one.method} | `{one.template}` |" in said
    for attribute in ATTRIBUTES.values():
        assert (f"| {attribute.keyword} |" in said) == attribute.matched
    for syntax in TRANSCODINGS:
        assert f"`{syntax.transfer_syntax_uid}`" in said


def test_its_tables_are_whole() -> None:
    widths = [line.replace("\\|", "").count("|") for line in statement().splitlines() if line.startswith("|")]
    lines = [line for line in statement().splitlines() if line.startswith("|")]
    for line, width, head in zip(lines, widths, _heads(lines), strict=True):
        assert width == head.count("|"), line


def _heads(lines: list[str]) -> list[str]:
    """The separator line of each row's table, by the rows that stand above it."""
    heads, current = [], ""
    for following in [*lines[1:], ""]:
        if following.startswith("|---"):
            current = following
        heads.append(current)
    return heads


def test_the_command_writes_it(tmp_path: Path) -> None:
    target = tmp_path / "STATEMENT.md"
    assert lightbox("conformance-statement", "--output", str(target)) == ""
    assert target.read_text() == statement()
