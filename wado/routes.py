"""Transactions of WADO-RS (PS3.18 §10.4), relative to a DICOMweb root."""

from aiohttp import web

from archive.dicomweb.transactions import Handler, Transaction
from wado.bulkdata import retrieve_bulk_data, retrieve_bulk_value, retrieve_pixel_data
from wado.bundle import retrieve_bundle
from wado.documents import HTML, PDF
from wado.frames import retrieve_frames
from wado.instances import retrieve_instance, retrieve_series, retrieve_study
from wado.metadata import retrieve_instance_metadata, retrieve_series_metadata, retrieve_study_metadata
from wado.offers import ZIP
from wado.rendered import (
    retrieve_rendered_frames,
    retrieve_rendered_instance,
    retrieve_rendered_series,
    retrieve_rendered_study,
    retrieve_thumbnail,
)
from wado.uri import PARAMETERS, retrieve_by_uri

STUDY = "/studies/{study}"
SERIES = STUDY + "/series/{series}"
INSTANCE = SERIES + "/instances/{instance}"
FRAMES = INSTANCE + "/frames/{frames}"

DICOM = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
METADATA = ("application/dicom+json", 'multipart/related; type="application/dicom+xml"')
PICTURES = ("image/jpeg", "image/gif", "image/png", "image/jp2")
RENDERING = ("annotation", "iccprofile", "quality", "viewport", "window")


def _get(
    path: str, name: str, handler: Handler, produces: tuple[str, ...], parameters: tuple[str, ...] = ()
) -> Transaction:
    return Transaction("GET", path, name, "PS3.18 §10.4", handler, produces, (), ("accept", "charset", *parameters))


BY_URI = Transaction(
    "GET",
    "/wado",
    "RetrieveByUri",
    "PS3.18 §9",
    retrieve_by_uri,
    ("image/jpeg", "application/dicom", *PICTURES[1:], HTML, PDF),
    (),
    PARAMETERS,
)
TRANSACTIONS = (
    _get(FRAMES, "RetrieveFrames", retrieve_frames, (OCTETS, "application/octet-stream", "image/*")),
    _get(STUDY, "RetrieveStudy", retrieve_study, (DICOM, OCTETS, ZIP)),
    _get(SERIES, "RetrieveSeries", retrieve_series, (DICOM, OCTETS, ZIP)),
    _get(INSTANCE, "RetrieveInstance", retrieve_instance, (DICOM, "application/dicom", OCTETS, ZIP)),
    _get(STUDY + "/metadata", "RetrieveStudyMetadata", retrieve_study_metadata, METADATA),
    _get(SERIES + "/metadata", "RetrieveSeriesMetadata", retrieve_series_metadata, METADATA),
    _get(INSTANCE + "/metadata", "RetrieveInstanceMetadata", retrieve_instance_metadata, METADATA),
    _get(STUDY + "/rendered", "RetrieveRenderedStudy", retrieve_rendered_study, PICTURES, RENDERING),
    _get(SERIES + "/rendered", "RetrieveRenderedSeries", retrieve_rendered_series, PICTURES, RENDERING),
    _get(
        INSTANCE + "/rendered",
        "RetrieveRenderedInstance",
        retrieve_rendered_instance,
        (*PICTURES, HTML, PDF),
        RENDERING,
    ),
    _get(FRAMES + "/rendered", "RetrieveRenderedFrames", retrieve_rendered_frames, PICTURES, RENDERING),
    _get(STUDY + "/thumbnail", "RetrieveStudyThumbnail", retrieve_thumbnail, ("image/jpeg",), ("viewport",)),
    _get(SERIES + "/thumbnail", "RetrieveSeriesThumbnail", retrieve_thumbnail, ("image/jpeg",), ("viewport",)),
    _get(INSTANCE + "/thumbnail", "RetrieveInstanceThumbnail", retrieve_thumbnail, ("image/jpeg",), ("viewport",)),
    _get(FRAMES + "/thumbnail", "RetrieveFrameThumbnail", retrieve_thumbnail, ("image/jpeg",), ("viewport",)),
    _get(STUDY + "/bulkdata", "RetrieveStudyBulkdata", retrieve_bulk_data, (OCTETS,)),
    _get(SERIES + "/bulkdata", "RetrieveSeriesBulkdata", retrieve_bulk_data, (OCTETS,)),
    _get(INSTANCE + "/bulkdata", "RetrieveInstanceBulkdata", retrieve_bulk_data, (OCTETS,)),
    _get(
        INSTANCE + "/bulkdata/{path:.+}",
        "RetrieveBulkValue",
        retrieve_bulk_value,
        (OCTETS, "application/octet-stream"),
    ),
    _get(STUDY + "/pixeldata", "RetrieveStudyPixelData", retrieve_pixel_data, (OCTETS,)),
    _get(SERIES + "/pixeldata", "RetrieveSeriesPixelData", retrieve_pixel_data, (OCTETS,)),
    _get(INSTANCE + "/pixeldata", "RetrieveInstancePixelData", retrieve_pixel_data, (OCTETS,)),
    Transaction(
        "GET", STUDY + "/bundle", "RetrieveStudyBundle", "extension", retrieve_bundle, (ZIP,), (), ("previews", "lang")
    ),
    BY_URI,
)


def routes(root: str = "") -> list[web.RouteDef]:
    return [transaction.route(root) for transaction in TRANSACTIONS]
