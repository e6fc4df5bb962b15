"""The README says what the code does: its settings table and its commands."""

import re
from pathlib import Path

from servers import ROOT
from typer.testing import CliRunner

from archive.cli import build
from archive.config import Settings
from archive.operations.limits import table

GROUPS = "deployment|token|share|viewer|staff|audit|backup|jobs"
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default.as_posix() if isinstance(field.default, Path) else field.default
        shown = "" if default == "" else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        rows.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_settings_table_is_the_code_s_own() -> None:
    written = README.split("<!-- settings -->\n", 1)[1].split("\n<!-- /settings -->", 1)[0]
    assert written == settings_table()


def test_every_lightbox_command_in_the_readme_exists_and_has_help_with_an_example() -> None:
    commands = set(re.findall(rf"\.venv/bin/lightbox (jobs add [a-z]+|(?:{GROUPS}) [a-z]+|[a-z]+(?:-[a-z]+)*)", README))
    assert {"serve", "import", "verify", "token create", "share create"} <= commands
    for command in commands:
        words = command.split()
        shown = CliRunner().invoke(build(words), [*words, "--help"])
        assert "Example:" in shown.output, command


def test_the_table_of_limits_is_the_code_s_own() -> None:
    written = README.split("<!-- limits -->\n", 1)[1].split("\n<!-- /limits -->", 1)[0]
    assert written == table()
