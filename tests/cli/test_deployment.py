"""Files that run a server: hardened, not root, and true about the command."""

import configparser
import json
import re
import subprocess

from servers import lightbox

from archive.cli.sbom import bill

HARDENED = {
    "NoNewPrivileges": "true",
    "ProtectSystem": "strict",
    "ProtectHome": "true",
    "PrivateTmp": "true",
    "PrivateDevices": "true",
    "CapabilityBoundingSet": "",
    "RestrictSUIDSGID": "true",
    "User": "lightbox",
    "StateDirectory": "lightbox",
}


def unit(text):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def test_the_service_is_hardened_and_runs_the_command_that_exists(tmp_path):
    service = unit(lightbox("deployment", "systemd"))
    assert HARDENED.items() <= dict(service["Service"]).items()
    words = service["Service"]["ExecStart"].split()
    assert words[0].endswith("/bin/lightbox")
    offered = lightbox("serve", "--help")
    assert all(word in offered for word in words[1:] if word.startswith("--"))
    assert int(service["Service"]["TimeoutStopSec"]) > 30  # longer than answers under way may take
    assert "HUP" in service["Service"]["ExecReload"]


def test_systemd_itself_finds_nothing_wrong(tmp_path):
    for name, text in (
        ("lightbox.service", lightbox("deployment", "systemd")),
        ("lightbox.socket", lightbox("deployment", "systemd", "--socket")),
    ):
        text = text.replace("/opt/lightbox/bin/lightbox", "/bin/true")  # the one thing that is not on this machine
        (tmp_path / name).write_text(text.replace("User=lightbox\nGroup=lightbox\n", ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "lightbox.service"), str(tmp_path / "lightbox.socket")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    own = [line for line in done.stderr.splitlines() if "lightbox" in line]
    assert own == []


def test_the_container_is_not_root_and_writes_only_where_it_may():
    text = lightbox("deployment", "dockerfile")
    steps = re.findall(r"^([A-Z]+) (.+?)(?<!\\)$", text, re.MULTILINE | re.DOTALL)
    last = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER 8042:8042$", last, re.MULTILINE)
    assert last.index("USER 8042") < last.index("ENTRYPOINT")
    assert {name for name, _ in steps} <= {
        "FROM", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    commands = {name: json.loads(rest.replace("\\\n", "")) for name, rest in steps if name in ("ENTRYPOINT", "CMD")}
    assert commands["CMD"][0] == "serve"
    assert commands["CMD"][2] in re.findall(r"^VOLUME (\S+)$", last, re.MULTILINE)
    assert "--read-only" in text
    assert "curl" not in text


def test_the_bill_of_materials_names_every_package_once_with_its_version_and_the_same_each_time():
    found = bill("aiohttp")  # any installed distribution has one; ours need not be installed to be tested
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    references = [component["bom-ref"] for component in found["components"]]
    assert len(references) == len(set(references))
    assert "multidict" in {component["name"] for component in found["components"]}
    assert all(
        component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}" for component in found["components"]
    )
    assert bill("aiohttp") == found
    assert json.loads(lightbox("sbom"))["metadata"]["component"]["name"] == "lightbox-archive"
    known = {found["metadata"]["component"]["bom-ref"], *references}
    for dependency in found["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= known
