"""Names are folded so that people find them however they type them."""

import pytest

from archive.index.folding import fold, fold_name, name_words, sound_of, words_of


@pytest.mark.parametrize(
    ("value", "folded"),
    [
        ("", ""),
        ("=", ""),
        ("Doe^John", "=doe^john="),
        ("DOE^John^^^", "=doe^john="),
        ("Doe ^ John", "=doe^john="),
        ("Buc^Jérôme", "=buc^jerome="),
        ("Äneas^Rüdiger", "=aneas^rudiger="),
        ("Weiß^Ørsted", "=weiss^orsted="),
        ("Люкceмбypг", "=люкceмбypг="),
        ("Διονυσιος", "=διονυσιοσ="),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "=yamada^tarou=山田^太郎=やまだ^たろう="),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=ﾔﾏﾀﾞ", "=ヤマダ^タロウ=ヤマダ="),
        ("Hong^Gildong=洪^吉洞=홍^길동", "=hong^gildong=洪^吉洞=홍^길동="),
        ("==やまだ", "=やまだ="),
        ("Doe^Jane\\Roe^Jane", "=doe^jane=roe^jane="),
        ("a＝b", "=a b="),
    ],
)
def test_a_name_is_folded_group_by_group(value: str, folded: str) -> None:
    assert fold_name(value) == folded


def test_folding_twice_changes_nothing() -> None:
    for text in ("Ångström", "ﾀﾞ", "ßẞ", "홍길동", "İstanbul", "Ǆ"):
        assert fold(fold(text)) == fold(text)


def test_composed_and_decomposed_letters_meet() -> None:
    assert fold_name("Jose\u0301") == fold_name("Jos\u00e9") == fold_name("JOSE")


def test_the_words_of_a_name_know_no_separators() -> None:
    assert words_of("Van der Berg^Anna-Maria^^Dr.=山田^太郎") == [
        "van", "der", "berg", "anna", "maria", "dr", "山田", "太郎",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "spellings",
    [
        ("Meier", "Meyer", "Mayr", "Maier"),
        ("Smith", "Smyth", "Smitt"),
        ("Christian", "Kristian"),
        ("Stephan", "Stefan"),
        ("Schmidt", "Schmitt", "Schmid"),
        ("Philipp", "Filip"),
    ],
)
def test_names_that_sound_alike_share_a_sound(spellings: tuple[str, ...]) -> None:
    assert len({sound_of(fold(spelling)) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("miller", "mayer"), ("smith", "schneider"), ("山田", "山本"), ("li", "wu")]
)
def test_other_names_sound_otherwise(one: str, other: str) -> None:
    assert sound_of(one) != sound_of(other)


def test_words_and_sounds_stand_between_blanks() -> None:
    assert name_words("") == ""
    stored = name_words("Meyer^Jörg")
    assert stored.startswith(" meyer jorg ~")
    assert stored.endswith(" ")
    assert f" ~{sound_of('maier')} " in stored
