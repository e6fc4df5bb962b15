"""What is said at the start about settings that cannot be."""

import pytest
from servers import run_lightbox

FAULTS = {
    "an unknown key in the file": ("prot = 8042", {}, "setting prot: there is no such setting; did you mean port?"),
    "an unknown key in the environment": (
        "",
        {"LIGHTBOX_WORKRES": "2"},
        "LIGHTBOX_WORKRES in the environment: there is no such setting; did you mean workers?",
    ),
    "a key like no other": ("quux = 1", {}, "setting quux: there is no such setting; see the table in the README."),
    "a number out of range": ("port = 70000", {}, "setting port: Input should be less than or equal to 65535"),
    "a word for a number": ("", {"LIGHTBOX_UNDO_DAYS": "many"}, "setting undo_days: Input should be a valid number"),
    "a URL without its scheme": (
        'public_base = "images.example.org"',
        {},
        "setting public_base: public_base begins with http:// or https://",
    ),
    "a file that is no TOML": ("port 8042", {}, "The settings file is not TOML:"),
    "a list that is no JSON": ("", {"LIGHTBOX_TRUSTED_PROXIES": "10.0.0.1"}, "The environment:"),
    "a secret in the wrong place": (
        "smtp_password = 4711",
        {},
        "setting smtp_password: Input",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_settings_is_one_line_that_names_the_key(fault, tmp_path, monkeypatch):
    toml, environment, said = FAULTS[fault]
    (tmp_path / "lightbox.toml").write_text(toml)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = run_lightbox("serve", "--data", str(tmp_path), "--config", str(tmp_path / "lightbox.toml"))
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(f"lightbox: {said}")
    assert done.stderr.count("\n") == 1
    assert "4711" not in done.stderr
