"""One study for each character repertoire of PS3.3 C.12.1.1.2, with names and words in its own script."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from conformance.samples import Sample, Study, instance_of, new_uid, ramp, sample_of, set_pixels, set_raw


@dataclass(frozen=True, slots=True)
class TextRow:
    """`name` holds up to three component groups; the run's token goes before the first."""

    id: str
    script: str
    charset: tuple[str, ...]
    name: str
    words: str
    fragment: str

    def person_name(self, token: str) -> dict[str, str]:
        """Give the name as Annex F writes it."""
        groups = (token + self.name).split("=")
        keys = ("Alphabetic", "Ideographic", "Phonetic")
        return {key: group for key, group in zip(keys, groups, strict=False) if group}


TEXT_ROWS = (
    TextRow("latin1", "Latin-1", ("ISO_IR 100",), "Buc^Jérôme", "Crâne façade äöüß", "Jérôme"),
    TextRow("latin2", "Latin-2", ("ISO_IR 101",), "Wałęsa^Żaneta", "Główny čeština šíř", "Żaneta"),
    TextRow("latin3", "Latin-3", ("ISO_IR 109",), "Ĉapelo^Ŝtefan", "Ĝardeno ĥoro", "Ŝtefan"),
    TextRow("latin4", "Latin-4", ("ISO_IR 110",), "Āboliņš^Jānis", "Ķīmija ģīpsis", "Jānis"),
    TextRow("latin5", "Latin-5 (Turkish)", ("ISO_IR 148",), "Şahin^Çağrı", "Göğüs röntgeni ışık", "Çağrı"),
    TextRow("cyrillic", "Cyrillic", ("ISO_IR 144",), "Люксембург^Роза", "Грудная клетка", "Роза"),
    TextRow("arabic", "Arabic", ("ISO_IR 127",), "قباني^لنزار", "صورة الصدر", "لنزار"),
    TextRow("greek", "Greek", ("ISO_IR 126",), "Διονυσιος^Αννα", "Αξονική τομογραφία", "Αννα"),
    TextRow("hebrew", "Hebrew", ("ISO_IR 138",), "שרון^דבורה", "צילום חזה", "דבורה"),
    TextRow("thai", "Thai", ("ISO_IR 166",), "สมชาย^ใจดี", "ภาพรังสี", "ใจดี"),
    TextRow(
        "kanji",
        "Japanese, kanji and kana",
        ("", "ISO 2022 IR 87"),
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "胸部正面",
        "太郎",
    ),
    TextRow(
        "halfkana",
        "Japanese, half-width kana",
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        "ｷｮｳﾌﾞ",
        "ﾀﾛｳ",
    ),
    TextRow(
        "kanji-supplement",
        "Japanese, supplementary kanji",
        ("", "ISO 2022 IR 87", "ISO 2022 IR 159"),
        "Tanaka^Aki=田中^亜紀=たなか^あき",
        "丂丄丅",
        "亜紀",
    ),
    TextRow("korean", "Korean", ("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동", "김희중 흉부", "길동"),
    TextRow(
        "chinese-2022",
        "Simplified Chinese (GB 2312, code extension)",
        ("", "ISO 2022 IR 58"),
        "Zhang^XiaoDong=张^小东",
        "胸部正位",
        "小东",
    ),
    TextRow("gb18030", "Simplified Chinese (GB 18030)", ("GB18030",), "Wang^XiaoDong=王^小东", "第一行文字", "小东"),
    TextRow("gbk", "Simplified Chinese (GBK)", ("GBK",), "Li^XiaoHong=李^小红", "头部平扫", "小红"),
    TextRow(
        "utf8",
        "several scripts at once (UTF-8)",
        ("ISO_IR 192",),
        "Ōno^Łucja=小野^薫=おの^かおる",
        "Schädel Череп 頭蓋骨 두개골",
        "薫",
    ),
    TextRow(
        "mixed-2022",
        "Latin-1 and Cyrillic and Greek (code extension)",
        ("ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 126"),
        "Dubois^Rémi",
        "é Роза Αννα",
        "Rémi",
    ),
)


def _encode_gb2312(dataset: Dataset) -> None:
    """Write the escape sequence of GB 2312 (PS3.5 Annex K) by hand; pydicom 3.0's encoder leaves it out."""
    for element in list(dataset):
        if element.VR not in ("PN", "LO", "LT"):
            continue
        pieces = re.split(r"([\^=\r\n]+)", str(element.value))
        encoded = b"".join(
            piece.encode("ascii") if piece.isascii() else b"\x1b$)A" + piece.encode("gb2312") for piece in pieces
        )
        set_raw(dataset, int(element.tag), element.VR, encoded + b" " * (len(encoded) % 2))


def text_samples(token: str) -> list[Sample]:
    made = []
    for index, row in enumerate(TEXT_ROWS):
        study = Study(f"{token}-T{index}", token + row.name, new_uid(), {"AccessionNumber": f"{token}T{index}"})
        dataset = instance_of(study)
        charset = list(row.charset)
        dataset.SpecificCharacterSet = charset if len(charset) > 1 else charset[0]
        dataset.StudyDescription = row.words
        dataset.PatientComments = f"{row.words}\r\n{row.words}"
        dataset.ReferringPhysicianName = row.name
        if row.id == "chinese-2022":
            _encode_gb2312(dataset)
        set_pixels(dataset, ramp(4, 4, "u1"))
        made.append(sample_of(f"text-{row.id}", dataset))
    return made
