"""Look at the installed wheel from outside: whose packages are these, and does every module import?

Usage: python -P look.py PACKAGE...     by the Python the wheel is installed for, in a folder apart from the tree
"""

import importlib
import importlib.metadata
import pkgutil
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTION = "lightbox-archive"
# These run in the environments that the clients' own packages are installed into, and only there.
ELSEWHERE = "conformance.clients.drive_"


def needed_distributions() -> set[str]:
    """Return what an install without extras brings, by name: what the wheel requires, what that requires, and so on."""
    needed: set[str] = set()
    todo = [(DISTRIBUTION, frozenset({""}))]
    seen = set()
    while todo:
        name, extras = todo.pop()
        seen.add((name, extras))
        needed.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform, or wanted by nobody here
        for requirement in map(Requirement, lines):
            if any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras):
                wanted = (canonicalize_name(requirement.name), frozenset({"", *requirement.extras}))
                if wanted not in seen:
                    todo.append(wanted)
    return needed


class OnlyNeeded:
    """An import finder that hides what only the test tools brought along."""

    def __init__(self) -> None:
        needed = needed_distributions()
        owners = importlib.metadata.packages_distributions()
        self._hidden = {
            name for name, owned in owners.items() if not {canonicalize_name(owner) for owner in owned} & needed
        }

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse a hidden name; leave the others to the finders behind this one."""
        if name.partition(".")[0] in self._hidden:
            raise ModuleNotFoundError(f"{name} comes with no requirement of {DISTRIBUTION}", name=name)
        return None


def look_at(name: str, owners: Iterable[str]) -> str:
    """Import a package and all in it.

    Our names must come from our wheel, and no other distribution may own one of them: of two, the later installed
    would overwrite the earlier.
    """
    home = Path(sysconfig.get_paths()["purelib"]).resolve()
    package = importlib.import_module(name)
    place = Path(str(package.__file__)).resolve()
    if not place.is_relative_to(home):
        raise SystemExit(f"{name} comes from {place}, not from the wheel")
    if not (place.parent / "py.typed").is_file():
        raise SystemExit(f"{name} has no py.typed")
    if set(owners) != {DISTRIBUTION}:
        raise SystemExit(f"{name} is also the name of a package of {sorted(owners)}")
    modules = [info.name for info in pkgutil.walk_packages(package.__path__, name + ".")]
    modules = [module for module in modules if not module.endswith(".__main__") and not module.startswith(ELSEWHERE)]
    for module in modules:
        importlib.import_module(module)
    return f"{name}: {1 + len(modules)} modules import from the wheel"


def main() -> None:
    """Look at each package named."""
    warnings.simplefilter("error")
    owners = importlib.metadata.packages_distributions()
    sys.meta_path.insert(0, OnlyNeeded())
    for name in sys.argv[1:]:
        print(look_at(name, owners[name]), flush=True)


if __name__ == "__main__":
    main()
