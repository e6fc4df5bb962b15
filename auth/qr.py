"""The QR code of a link."""

import io

import segno


def qr_svg(text: str) -> str:
    """The QR code of a link (error correction M) as SVG, to be put into a page."""
    data = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        data, kind="svg", border=4, scale=4, xmldecl=False, svgns=True, dark="#000", light="#fff"
    )
    return data.getvalue().decode()
