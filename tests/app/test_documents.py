"""Reports and PDF documents by `/rendered`."""

from typing import Any

import pydicom
import pytest
from files import part10
from pydicom.data import get_testdata_file
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

PDF = b"%PDF-1.4\n" + b"1 0 obj\n" * 9 + b"%%EOF\n"


def document(content: bytes, **more: object) -> tuple[bytes, str]:
    study, series, uid = (generate_uid() for _ in range(3))
    file = part10(
        SOPClassUID=EncapsulatedPDFStorage,
        StudyInstanceUID=study,
        SeriesInstanceUID=series,
        SOPInstanceUID=uid,
        Modality="DOC",
        EncapsulatedDocument=content,
        MIMETypeOfEncapsulatedDocument="application/pdf",
        **more,
    )
    return file, f"/studies/{study}/series/{series}/instances/{uid}/rendered"


@pytest.mark.parametrize("length_bytes", [len(PDF), len(PDF) + 1, 70_001, 70_002, 3_000_001])
@pytest.mark.parametrize("said", [True, False])
def test_an_encapsulated_pdf_comes_back_as_it_was(served: Any, length_bytes: int, said: bool) -> None:
    content = PDF.ljust(length_bytes, b"\n")
    padded = content + b"\0" * (length_bytes % 2)
    file, path = document(padded, **({"EncapsulatedDocumentLength": length_bytes} if said else {}))
    assert served.store(file).status_code == 200
    answer = served.ask(path, accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content == content
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = served.ask(path, "HEAD", "application/pdf")
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(length_bytes))


def test_a_document_is_no_picture_and_an_empty_one_says_so(served: Any) -> None:
    file, path = document(PDF)
    assert served.store(file).status_code == 200
    assert served.ask(path, accept="image/jpeg").status_code == 406
    empty, path = document(b"")
    assert served.store(empty).status_code == 200
    assert served.ask(path, accept="application/pdf").status_code == 422


def test_a_structured_report_is_html_in_a_sandbox(served: Any) -> None:
    path = get_testdata_file("reportsi.dcm")
    assert isinstance(path, str)
    served.samples("reportsi.dcm")
    report = pydicom.dcmread(path)
    url = f"/studies/{report.StudyInstanceUID}/series/{report.SeriesInstanceUID}/instances/{report.SOPInstanceUID}"
    url += "/rendered"
    answer = served.ask(url, accept="*/*")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "script" not in answer.headers["Content-Security-Policy"]
    texts = [str(item.TextValue) for item in report.ContentSequence if "TextValue" in item]
    assert texts
    assert all(text.split()[0] in answer.text for text in texts)
    headers = answer.headers["ETag"]
    assert served.ask(url, accept="text/html").headers["ETag"] == headers
    assert served.ask(url, accept="application/pdf").status_code == 406


def test_a_study_or_series_of_documents_alone_is_rendered_as_its_first_document(served: Any) -> None:
    file, path = document(PDF, PixelData=None, Rows=None, Columns=None)
    assert served.store(file).status_code == 200
    study, series = path.split("/")[2], path.split("/")[4]
    roots = (f"/studies/{study}", f"/studies/{study}/series/{series}")
    for root in roots:
        answer = served.ask(f"{root}/rendered", accept="*/*")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
        assert answer.content == PDF
        assert answer.headers["Content-Location"].endswith(path)
        assert served.ask(f"{root}/rendered", accept="image/jpeg").status_code == 406
    assert served.store(part10(StudyInstanceUID=study, SeriesInstanceUID=generate_uid())).status_code == 200
    assert served.ask(f"{roots[0]}/rendered", accept="*/*").headers["Content-Type"] == "image/jpeg"
    assert served.ask(f"{roots[1]}/rendered", accept="*/*").headers["Content-Type"] == "application/pdf"
