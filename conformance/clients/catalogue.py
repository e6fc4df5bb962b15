"""The clients: what each needs and which program drives it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """Another party's client. `driver` is a module of this package or a script for Node beside it.

    `pip` and `npm` are what its environment holds, the client itself first; `programs` must be on the PATH.
    """

    name: str
    driver: str
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


CLIENTS = (
    Client("dicomweb-client (PyPI), command line", "drive_dicomweb_cli", pip=("dicomweb-client>=0.60,<1",)),
    Client(
        "DCMTK",
        "drive_toolkits",
        programs=("dcmdump", "dcmdjpls", "dcmdjpeg", "dcmdrle", "dcmj2pnm"),
        arguments=("dcmtk",),
    ),
    Client("GDCM", "drive_toolkits", programs=("gdcminfo", "gdcmconv"), arguments=("gdcm",)),
    Client("dicom3tools dciodvfy", "drive_toolkits", programs=("dciodvfy",), arguments=("dicom3tools",)),
    Client("dicomweb-client (npm)", "drive_dicomweb_client.mjs", npm=("dicomweb-client@0.11", "xhr2@0.2")),
    Client("dicomtrolley (PyPI)", "drive_dicomtrolley", pip=("dicomtrolley>=4.1,<5",)),
    Client("wsidicom (PyPI)", "drive_wsidicom", pip=("wsidicom>=0.36,<1", "dicomweb-client>=0.60,<1")),
    Client("dicomslide (PyPI)", "drive_dicomslide", pip=("dicomslide>=0.7.2,<1", "dicomweb-client>=0.60,<1")),
    Client(
        "@cornerstonejs/dicom-image-loader (npm)",
        "drive_cornerstone",
        pip=("playwright>=1.55",),
        npm=("@cornerstonejs/dicom-image-loader@5", "@cornerstonejs/core@5", "events@3", "esbuild"),
        programs=("chromium",),
    ),
)


def chosen(names: list[str]) -> list[Client]:
    """The clients whose name holds one of these texts; all when there is none."""
    return [each for each in CLIENTS if not names or any(name.lower() in each.name.lower() for name in names)]
