"""Structured reports as HTML: all that they say, and nothing that runs."""

from typing import Any

from wado.reports import MAXIMUM_ITEMS, report_html


def code(meaning: str, value: str = "1") -> dict[str, Any]:
    return {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": [value]}, "00080104": {"Value": [meaning]}}]}


def item(value_type: str, concept: str, **more: Any) -> dict[str, Any]:
    return {"0040A040": {"vr": "CS", "Value": [value_type]}, "0040A043": code(concept), **more}


def report(*items: dict[str, Any]) -> str:
    return report_html(
        {
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^<b>Jane</b>"}]},
            "00080020": {"vr": "DA", "Value": ["20240229"]},
            **item("CONTAINER", "Chest X-ray report", **{"0040A730": {"vr": "SQ", "Value": list(items)}}),
        }
    )


def test_every_kind_of_content_is_said_in_words() -> None:
    number = {"Value": [{"0040A30A": {"vr": "DS", "Value": [12.5]}, "004008EA": code("millimeter", "mm")}]}
    image = {"Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}
    text = report(
        item("TEXT", "Finding", **{"0040A160": {"vr": "UT", "Value": ["No fracture."]}}),
        item("NUM", "Diameter", **{"0040A300": number}),
        item("CODE", "Side", **{"0040A168": code("Left")}),
        item("PNAME", "Observer", **{"0040A123": {"vr": "PN", "Value": [{"Alphabetic": "Roe^R"}]}}),
        item("DATE", "Seen", **{"0040A121": {"vr": "DA", "Value": ["20240301"]}}),
        item("IMAGE", "Source", **{"00081199": image}),
    )
    for words in (
        "Chest X-ray report",
        "2024-02-29",
        "No fracture.",
        "12.5 mm",
        "Left",
        "Roe R",
        "2024-03-01",
        "1.2.3",
    ):
        assert words in text, words


def test_containers_become_headed_sections_however_deep() -> None:
    nested = item("TEXT", "Deepest", **{"0040A160": {"Value": ["here"]}})
    for depth in range(12):
        nested = item("CONTAINER", f"Level {depth}", **{"0040A730": {"Value": [nested]}})
    text = report(nested)
    assert "<h2>Level 11</h2>" in text
    assert "<h6>Level 0</h6>" in text
    assert "here" in text
    assert text.count("<section>") == text.count("</section>") == 12


def test_markup_in_values_stays_text() -> None:
    text = report(item("TEXT", "<script>a</script>", **{"0040A160": {"Value": ['"><img src=x onerror=alert(1)>']}}))
    assert "<script>" not in text
    assert "<img" not in text
    assert "&lt;b&gt;Jane&lt;/b&gt;" in text


def test_odd_and_endless_reports_end() -> None:
    odd = [
        {},
        {"0040A040": {"vr": "CS"}},
        item("NUM", "x"),
        item("NUM", "y", **{"0040A300": {"vr": "SQ"}}),
        item("?", ""),
    ]
    assert "no value" in report(*odd)
    many = report(*[item("TEXT", "n", **{"0040A160": {"Value": ["m"]}})] * (MAXIMUM_ITEMS + 10))
    assert "The report goes on" in many
    nested: dict[str, Any] = item("TEXT", "bottom")
    for _ in range(200):
        nested = item("CONTAINER", "c", **{"0040A730": {"Value": [nested]}})
    assert "The report goes on" in report(nested)
