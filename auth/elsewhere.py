"""What each other viewer is given with a ticket: links and commands, ready to be copied."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode


def ways(public_base: str, ticket: str, study_uids: Sequence[str]) -> dict[str, str]:
    """Name of a way → its link or command. With several studies, links that take one name the first."""
    headed, root, study_uid = f"{public_base}/dicom-web", f"{public_base}/t/{ticket}/dicom-web", study_uids[0]
    weasis = f'$dicom:rs --url="{headed}" --request="studyUID={study_uid}" --header="Authorization: Bearer {ticket}"'
    slicer = urlencode({"studyUID": study_uid, "access_token": ticket, "dicomweb_endpoint": headed})
    ohif = urlencode({"url": f"{public_base}/t/{ticket}/ohif.json", "studyInstanceUIDs": study_uid})
    return {
        "root": root,
        "bearer": f"Authorization: Bearer {ticket}",
        "weasis": f"weasis://?{quote(weasis, safe='')}",
        "slicer": f"slicer://viewer/?{slicer}",
        "ohif": f"https://YOUR-OHIF/viewer/dicomwebproxy?{ohif}",
        "python": f'DICOMwebClient(url="{headed}", headers={{"Authorization": "Bearer {ticket}"}})',
        "curl": f'curl -H "Authorization: Bearer {ticket}" -H "Accept: application/dicom+json" {headed}/studies',
        "basic": f"{headed} – share – {ticket}",
        "fhir": f"{public_base}/t/{ticket}/fhir/ImagingStudy",
    }


def ohif_configuration(root: str) -> dict[str, object]:
    """What OHIF's dicomwebproxy data source fetches: where to ask, with the ticket in the path."""
    source = {
        "name": "lightbox",
        "wadoUriRoot": root,
        "qidoRoot": root,
        "wadoRoot": root,
        "qidoSupportsIncludeField": True,
        "supportsWildcard": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "bulkDataURI": {"enabled": True},
    }
    return {"servers": {"dicomWeb": [source]}}
