"""JavaScript made small by esbuild, which npm fetches as the lock file beside this module pins it."""

import shutil
from importlib import resources
from pathlib import Path, PurePosixPath

from archive.viewer.release import find_program, run_program

_LOCK_FILES = ("package.json", "package-lock.json")


def minify(site: Path, scripts: list[PurePosixPath], work: Path) -> None:
    """Replace the scripts below `site` by their minified form; licence comments go to `*.LEGAL.txt` beside them.

    npm holds each package to the lock file's SHA-512. About 0.8 GB of memory for OHIF's 50 MB.
    """
    node, npm = find_program("node"), find_program("npm")
    tools = work / "esbuild"
    tools.mkdir()
    for name in _LOCK_FILES:
        source = resources.files("archive.viewer") / "esbuild" / name
        (tools / name).write_bytes(source.read_bytes())
    run_program([npm, "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"], tools)
    out = work / "minified"
    command = [node, str(tools / "node_modules" / "esbuild" / "bin" / "esbuild"), *map(str, scripts)]
    options = ["--minify", "--legal-comments=external", "--outbase=.", f"--outdir={out}", "--log-level=error"]
    run_program(command + options, site)
    for made in sorted(out.rglob("*")):
        if made.is_file():
            target = site / made.relative_to(out)
            made.replace(target)
    shutil.rmtree(out)
