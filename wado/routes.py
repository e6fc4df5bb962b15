"""URL table of WADO-RS (PS3.18 §10.4.1), relative to a DICOMweb root."""

from aiohttp import web

from wado.bulkdata import retrieve_bulk_data, retrieve_bulk_value, retrieve_pixel_data
from wado.frames import retrieve_frames
from wado.instances import retrieve_instance, retrieve_series, retrieve_study
from wado.metadata import retrieve_instance_metadata, retrieve_series_metadata, retrieve_study_metadata
from wado.rendered import (
    retrieve_rendered_frames,
    retrieve_rendered_instance,
    retrieve_rendered_series,
    retrieve_rendered_study,
    retrieve_thumbnail,
)

STUDY = "/studies/{study}"
SERIES = STUDY + "/series/{series}"
INSTANCE = SERIES + "/instances/{instance}"


def routes(prefix: str = "") -> list[web.RouteDef]:
    return [
        web.get(prefix + STUDY, retrieve_study),
        web.get(prefix + SERIES, retrieve_series),
        web.get(prefix + INSTANCE, retrieve_instance),
        web.get(prefix + STUDY + "/metadata", retrieve_study_metadata),
        web.get(prefix + SERIES + "/metadata", retrieve_series_metadata),
        web.get(prefix + INSTANCE + "/metadata", retrieve_instance_metadata),
        web.get(prefix + STUDY + "/rendered", retrieve_rendered_study),
        web.get(prefix + SERIES + "/rendered", retrieve_rendered_series),
        web.get(prefix + INSTANCE + "/rendered", retrieve_rendered_instance),
        web.get(prefix + INSTANCE + "/frames/{frames}/rendered", retrieve_rendered_frames),
        web.get(prefix + STUDY + "/thumbnail", retrieve_thumbnail),
        web.get(prefix + SERIES + "/thumbnail", retrieve_thumbnail),
        web.get(prefix + INSTANCE + "/thumbnail", retrieve_thumbnail),
        web.get(prefix + INSTANCE + "/frames/{frames}/thumbnail", retrieve_thumbnail),
        web.get(prefix + STUDY + "/bulkdata", retrieve_bulk_data),
        web.get(prefix + SERIES + "/bulkdata", retrieve_bulk_data),
        web.get(prefix + INSTANCE + "/bulkdata", retrieve_bulk_data),
        web.get(prefix + INSTANCE + "/bulkdata/{path:.+}", retrieve_bulk_value),
        web.get(prefix + STUDY + "/pixeldata", retrieve_pixel_data),
        web.get(prefix + SERIES + "/pixeldata", retrieve_pixel_data),
        web.get(prefix + INSTANCE + "/pixeldata", retrieve_pixel_data),
        web.get(prefix + INSTANCE + "/frames/{frames}", retrieve_frames),
    ]
