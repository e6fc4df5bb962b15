"""`lightbox sbom`: what this installation is made of, as a CycloneDX bill of materials."""

import json
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

SPEC_VERSION = "1.6"
ROOT = "lightbox-archive"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def sbom() -> None:
    """Print the software bill of materials (CycloneDX 1.6, JSON): Lightbox and every package it needs, as installed.

    Example: lightbox sbom > lightbox.cdx.json
    """
    print(json.dumps(bill(), indent=1, sort_keys=True))


def bill(root: str = ROOT) -> dict[str, Any]:
    """The bill of what is installed; the same installation gives the same bytes."""
    found = dict(sorted(_needed(root).items()))
    own = found.pop(root, None)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": root,
                "version": own.version if own is not None else "0",
            }
        },
        "components": [_component(name, one) for name, one in found.items()],
        "dependencies": [
            {
                "ref": root if name == root else _reference(name, one),
                "dependsOn": sorted(_reference(need, found[need]) for need in set(_requirements(one)) & set(found)),
            }
            for name, one in ([(root, own)] if own is not None else []) + list(found.items())
        ],
    }


def _needed(root: str) -> dict[str, Distribution]:
    """A distribution and all that it needs that are installed, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform, or an extra that was not asked for
        waiting += _requirements(found[name])
    return found


def _requirements(one: Distribution) -> Iterator[str]:
    for line in one.requires or []:
        if "extra ==" not in line and (match := _NAME.match(line)):
            yield _normal(match[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _reference(name: str, one: Distribution) -> str:
    return f"pkg:pypi/{name}@{one.version}"


def _component(name: str, one: Distribution) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(name, one),
        "name": name,
        "version": one.version,
        "purl": _reference(name, one),
    }
    said = next((one.metadata[key] for key in ("License-Expression", "License") if key in one.metadata), "")
    if said and len(said) < 100 and "\n" not in said:
        component["licenses"] = [{"license": {"name": said}}]
    return component
