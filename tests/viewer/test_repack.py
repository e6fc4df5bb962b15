"""Repacking OHIF's build, on a small stand-in of its dist; the real one is packed in `test_ohif.py`."""

import base64
import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import brotli
import orjson
import pytest

from archive.viewer import release as release_module
from archive.viewer.manifest import MANIFEST_NAME, is_installed, read_manifest
from archive.viewer.release import OHIF, Release, ViewerInstallError
from archive.viewer.repack import Recipe, install
from archive.viewer.rewrite import BASE, is_hashed_name

INDEX = (
    '<!doctype html><html><head><script>console.time("scriptToView"),window.PUBLIC_URL="/"</script>'
    '<meta name="msapplication-config" content="/assets/browserconfig.xml"><meta name="viewport" content="a/b">'
    '<link rel="manifest" href="/manifest.json"><link rel="icon" href="/assets/favicon.ico">'
    '<script rel="preload" as="script" src="/app-config.js"></script>'
    '<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>'
    '<script>function browserImportFunction(n){return import(n)}window.PUBLIC_URL="/"</script>'
    '<script defer src="/app.bundle.0f6159c501addfe9.js"></script></head><body></body></html>'
)
BUNDLE = (
    '__webpack_require__.p = "/";\n'
    "const m = await window.browserImportFunction("
    "'/dicom-microscopy-viewer/dicomMicroscopyViewer.min.js');\n"
    'const logo = {src: "./ohif-logo.svg"};\n' + "// filler so that compressing pays\n" * 40
)
DIST = {
    "index.html": INDEX,
    "app.bundle.0f6159c501addfe9.js": BUNDLE,
    "8097.bundle.8ae6404ba94890a0.js": '__webpack_require__.p = "/";',
    "app.bundle.css": "@font-face{src:url(/a34f9d1faa5f3315.woff2)}a{background:url(data:x)}",
    "a34f9d1faa5f3315.woff2": "font",
    "manifest.json": '{"icons": [{"src": "/assets/android-chrome-36x36.png"}]}',
    "assets/favicon.ico": "icon",
    "app-config.js": "window.config = {demo: 'cloudfront'};",
    "app.bundle.0f6159c501addfe9.js.map": "{}",
    "ort/ort.js": "ort",
    "sw.js": "self",
    "google.js": "google",
    "init-service-worker.js": "navigator",
    "customizations/x.jsonc": "{}",
}


def tarball_of(files: dict[str, str], *extra: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in {"LICENSE": "MIT"}.items() | {f"dist/{name}": text for name, text in files.items()}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in extra:
            archive.addfile(member)
    return gzip.compress(buffer.getvalue(), mtime=0)


def integrity_of(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


def keep_scripts(site: Path, scripts: list[PurePosixPath], work: Path) -> None:
    """In place of esbuild: nothing is made smaller."""


def recipe_for(data: bytes, **changes: object) -> Recipe:
    def fetch(release: Release, folder: Path) -> Path:
        tarball = folder / "ohif-app.tgz"
        tarball.write_bytes(data)
        return tarball

    release = Release("@ohif/app", "3.13.2", integrity_of(data))
    return replace(Recipe(release=release, brotli_quality=5, fetch=fetch, minify=keep_scripts), **changes)


def quiet(line: str) -> None:
    """Take a progress line."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "viewer"


@pytest.fixture
def installed(folder: Path) -> Path:
    assert install(folder, recipe_for(tarball_of(DIST)), quiet) is True
    return folder


def test_every_path_of_the_page_lies_below_the_base(installed: Path) -> None:
    page = (installed / "index.html").read_text()
    assert f'href="{BASE}manifest.json"' in page
    assert f'content="{BASE}assets/browserconfig.xml"' in page
    assert f'src="{BASE}app-config.js"' in page
    assert 'content="a/b"' in page
    assert '="/' not in page.replace(f'="{BASE}', "")


def test_the_page_has_no_inline_script_and_no_service_worker(installed: Path) -> None:
    page = (installed / "index.html").read_text()
    assert "service-worker" not in page
    assert page.count("<script>") == 0
    moved = [path.read_text() for path in installed.glob("inline.*.js")]
    assert len(moved) == 2
    assert all(f'window.PUBLIC_URL="{BASE}"' in text for text in moved)
    assert all(f'src="{BASE}{path.name}"' in page for path in installed.glob("inline.*.js"))


def test_scripts_styles_and_manifests_look_below_the_base(installed: Path) -> None:
    bundle = (installed / "app.bundle.0f6159c501addfe9.js").read_text()
    assert f'__webpack_require__.p = "{BASE}"' in bundle
    assert f"'{BASE}dicom-microscopy-viewer/dicomMicroscopyViewer.min.js'" in bundle
    assert f'"{BASE}ohif-logo.svg"' in bundle
    assert (installed / "8097.bundle.8ae6404ba94890a0.js").read_text() == f'__webpack_require__.p = "{BASE}";'
    css = (installed / "app.bundle.css").read_text()
    assert css == f"@font-face{{src:url({BASE}a34f9d1faa5f3315.woff2)}}a{{background:url(data:x)}}"
    assert f'"{BASE}assets/android' in (installed / "manifest.json").read_text()


def test_what_nobody_asks_for_is_left_out(installed: Path) -> None:
    names = {path.relative_to(installed).as_posix() for path in installed.rglob("*")}
    dropped = {"app-config.js", "ort", "sw.js", "google.js", "init-service-worker.js", "customizations"}
    assert not names & dropped
    assert not [name for name in names if name.endswith(".map")]
    assert "LICENSE.txt" in names


def test_sidecars_hold_the_same_bytes(installed: Path) -> None:
    path = installed / "app.bundle.0f6159c501addfe9.js"
    assert brotli.decompress(path.with_name(path.name + ".br").read_bytes()) == path.read_bytes()
    assert gzip.decompress(path.with_name(path.name + ".gz").read_bytes()) == path.read_bytes()
    assert not (installed / "a34f9d1faa5f3315.woff2.br").exists()


def test_the_manifest_names_the_release_and_every_file(installed: Path) -> None:
    manifest = read_manifest(installed)
    assert manifest is not None
    assert manifest.version == "3.13.2"
    for path, file in manifest.files.items():
        data = (installed / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.length_bytes, file.sha256)
    assert {"index.html", "LICENSE.txt", "app.bundle.css"} <= manifest.files.keys()


def test_installing_again_does_nothing(installed: Path) -> None:
    def fail(release: Release, folder: Path) -> Path:
        raise AssertionError("fetched although it is there")

    before = (installed / MANIFEST_NAME).stat().st_mtime_ns
    assert install(installed, recipe_for(tarball_of(DIST), fetch=fail), quiet) is False
    assert (installed / MANIFEST_NAME).stat().st_mtime_ns == before


def test_the_tools_get_whole_paths_though_the_folder_is_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.mkdir()
    monkeypatch.chdir(folder.parent)
    seen: list[Path] = []

    def note(site: Path, scripts: list[PurePosixPath], work: Path) -> None:
        seen.extend((site, work))

    assert install(Path(folder.name), replace(recipe_for(tarball_of(DIST)), minify=note), quiet) is True
    assert len(seen) == 2
    assert all(path.is_absolute() for path in seen)
    assert (folder / "index.html").is_file()


def test_a_tarball_with_another_digest_is_refused_before_it_is_unpacked(folder: Path) -> None:
    recipe = recipe_for(tarball_of(DIST))
    wrong = replace(recipe.release, integrity=integrity_of(b"another"))
    with pytest.raises(ViewerInstallError, match="SHA-512 differs"):
        install(folder, replace(recipe, release=wrong), quiet)
    assert not folder.exists()
    assert [path.name for path in folder.parent.iterdir()] == ["viewer.lock"]


def test_a_failed_update_leaves_the_old_install(installed: Path) -> None:
    recipe = recipe_for(tarball_of(DIST | {"new.js": "1"}))
    wrong = replace(recipe.release, integrity=integrity_of(b"another"))
    with pytest.raises(ViewerInstallError):
        install(installed, replace(recipe, release=wrong), quiet)
    assert read_manifest(installed) is not None


def broken_by_removal(folder: Path) -> None:
    (folder / "app.bundle.css").unlink()


def broken_by_truncation(folder: Path) -> None:
    (folder / "index.html").write_text("<!doctype")


def broken_without_manifest(folder: Path) -> None:
    (folder / MANIFEST_NAME).unlink()


def broken_manifest(folder: Path) -> None:
    (folder / MANIFEST_NAME).write_bytes(b'{"version": ')


def broken_by_an_older_recipe(folder: Path) -> None:
    content = orjson.loads((folder / MANIFEST_NAME).read_bytes())
    (folder / MANIFEST_NAME).write_bytes(orjson.dumps(content | {"recipe": 0}))


@pytest.mark.parametrize(
    "break_it",
    [
        broken_by_removal,
        broken_by_truncation,
        broken_without_manifest,
        broken_manifest,
        broken_by_an_older_recipe,
    ],
)
def test_an_install_that_is_not_whole_is_done_again(installed: Path, break_it: Callable[[Path], None]) -> None:
    break_it(installed)
    assert install(installed, recipe_for(tarball_of(DIST)), quiet) is True
    assert (installed / "app.bundle.css").is_file()
    assert (installed / "index.html").read_text().endswith("</html>")


def test_a_run_that_was_interrupted_is_done_again(folder: Path) -> None:
    def interrupt(site: Path, scripts: list[PurePosixPath], work: Path) -> None:
        raise KeyboardInterrupt

    recipe = recipe_for(tarball_of(DIST))
    with pytest.raises(KeyboardInterrupt):
        install(folder, replace(recipe, minify=interrupt), quiet)
    assert not folder.exists()
    leftover = folder.with_name("viewer.partial")  # of a run that was killed
    leftover.mkdir()
    assert install(folder, recipe, quiet) is True
    assert not leftover.exists()


def test_a_quick_install_is_replaced_when_the_best_is_asked_for(installed: Path) -> None:
    recipe = recipe_for(tarball_of(DIST))
    assert not is_installed(installed, recipe.release, brotli_quality=11)
    assert install(installed, replace(recipe, brotli_quality=11), quiet) is True
    assert install(installed, recipe, quiet) is False


def link_out() -> tarfile.TarInfo:
    member = tarfile.TarInfo("package/dist/link.js")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


@pytest.mark.parametrize("member", [tarfile.TarInfo("package/dist/../../../escaped.js"), link_out()])
def test_a_tarball_that_leaves_its_folder_is_refused(folder: Path, member: tarfile.TarInfo) -> None:
    with pytest.raises(ViewerInstallError, match="leaves its folder"):
        install(folder, recipe_for(tarball_of(DIST, member)), quiet)
    assert not list(folder.parent.parent.rglob("escaped.js"))


def test_a_tarball_that_unpacks_to_too_much_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_module, "MAXIMUM_UNPACKED_BYTES", 1_000)
    with pytest.raises(ViewerInstallError, match="more than any release"):
        install(folder, recipe_for(tarball_of(DIST)), quiet)


@pytest.mark.parametrize("name", ["index.html", "app.bundle.0f6159c501addfe9.js"])
def test_a_release_laid_out_otherwise_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ViewerInstallError, match="not laid out"):
        install(folder, recipe_for(tarball_of(DIST | {name: "<html></html>"})), quiet)


def test_without_npm_the_message_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder.parent))
    with pytest.raises(ViewerInstallError, match=r"apt-get install nodejs npm"):
        install(folder, Recipe(), quiet)


def test_progress_is_told_in_words(folder: Path) -> None:
    lines: list[str] = []
    install(folder, recipe_for(tarball_of(DIST)), lines.append)
    assert lines[0] == "fetching @ohif/app 3.13.2 through npm"
    assert any(line.startswith("compressing") for line in lines)


def test_the_pinned_release_is_whole() -> None:
    assert OHIF.version == "3.13.2"
    assert len(base64.b64decode(OHIF.integrity.removeprefix("sha512-"))) == 64


@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        ("app.bundle.0f6159c501addfe9.js", True),
        ("5130ccb17e3f3f5b.wasm", True),
        ("inline.f0b26875406fc1eb.js", True),
        ("app.bundle.css", False),
        ("index.html", False),
        ("dicomMicroscopyViewer.min.js", False),
    ],
)
def test_only_a_name_with_its_digest_is_cached_for_ever(name: str, hashed: bool) -> None:
    assert is_hashed_name(name) is hashed
