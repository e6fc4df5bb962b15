"""Choose the representation to send (PS3.18 §8.7, RFC 9110 §12.5.1). Pure: no I/O.

A resource is described by its offers: what could be sent, the resource category's default first. The ranges of Accept
give each offer a weight; the heaviest wins, then what was named rather than meant by a wildcard, then the offer that
costs the server least, then the earlier offer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from archive.dicomweb.header_values import MediaType, parse_weight, split_unquoted
from archive.errors import BadRequestError, NotAcceptableError

IMPLICIT_VR_LE = "1.2.840.10008.1.2"
EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BE = "1.2.840.10008.1.2.2"
ANY = "*"

ONLY_WHEN_NAMED = frozenset({IMPLICIT_VR_LE, EXPLICIT_VR_BE})
"""Never sent for a wildcard (PS3.18 §8.7.3); a client that names one of them gets the stored bytes, our extension."""

MEDIA_TYPE_OF_SYNTAX: Mapping[str, str] = MappingProxyType(
    {
        IMPLICIT_VR_LE: "application/octet-stream",
        EXPLICIT_VR_LE: "application/octet-stream",
        EXPLICIT_VR_BE: "application/octet-stream",
        "1.2.840.10008.1.2.1.99": "application/octet-stream",
        "1.2.840.10008.1.2.5": "image/dicom-rle",
        "1.2.840.10008.1.2.4.50": "image/jpeg",
        "1.2.840.10008.1.2.4.51": "image/jpeg",
        "1.2.840.10008.1.2.4.57": "image/jpeg",
        "1.2.840.10008.1.2.4.70": "image/jpeg",
        "1.2.840.10008.1.2.4.80": "image/jls",
        "1.2.840.10008.1.2.4.81": "image/jls",
        "1.2.840.10008.1.2.4.90": "image/jp2",
        "1.2.840.10008.1.2.4.91": "image/jp2",
        "1.2.840.10008.1.2.4.92": "image/jpx",
        "1.2.840.10008.1.2.4.93": "image/jpx",
        "1.2.840.10008.1.2.4.100": "video/mpeg",
        "1.2.840.10008.1.2.4.101": "video/mpeg",
        "1.2.840.10008.1.2.4.102": "video/mp4",
        "1.2.840.10008.1.2.4.103": "video/mp4",
        "1.2.840.10008.1.2.4.104": "video/mp4",
        "1.2.840.10008.1.2.4.105": "video/mp4",
        "1.2.840.10008.1.2.4.106": "video/mp4",
        "1.2.840.10008.1.2.4.107": "video/h265",
        "1.2.840.10008.1.2.4.108": "video/h265",
        "1.2.840.10008.1.2.4.110": "image/jxl",
        "1.2.840.10008.1.2.4.111": "image/jxl",
        "1.2.840.10008.1.2.4.112": "image/jxl",
        "1.2.840.10008.1.2.4.201": "image/jphc",
        "1.2.840.10008.1.2.4.202": "image/jphc",
        "1.2.840.10008.1.2.4.203": "image/jphc",
    }
)
"""The media type that carries a frame or bulk value of a transfer syntax (PS3.18 Table 8.7.3-5)."""

DEFAULT_SYNTAX: Mapping[str, str] = MappingProxyType(
    {
        "application/dicom": EXPLICIT_VR_LE,
        "application/octet-stream": EXPLICIT_VR_LE,
        "image/dicom-rle": "1.2.840.10008.1.2.5",
        "image/jpeg": "1.2.840.10008.1.2.4.70",
        "image/jls": "1.2.840.10008.1.2.4.80",
        "image/jp2": "1.2.840.10008.1.2.4.90",
        "image/jpx": "1.2.840.10008.1.2.4.92",
        "image/jphc": "1.2.840.10008.1.2.4.201",
        "image/jxl": "1.2.840.10008.1.2.4.110",
        "video/mpeg": "1.2.840.10008.1.2.4.100",
        "video/mp4": "1.2.840.10008.1.2.4.102",
        "video/h265": "1.2.840.10008.1.2.4.107",
    }
)
"""What a media type means without a transfer-syntax parameter (PS3.18 §8.7.3.3)."""

_STRICT_DEFAULT = frozenset({"application/dicom", "application/octet-stream"})
_ALIASES = MappingProxyType(
    {
        "image/x-dicom-rle": "image/dicom-rle",
        "image/x-jls": "image/jls",
        "video/mpeg2": "video/mpeg",
    }
)
_RENDERED_ONLY = frozenset(
    {"image/png", "image/gif", "text/html", "text/plain", "text/xml", "text/rtf", "application/pdf"}
)
_DICOM_ONLY = frozenset({"application/dicom", "application/dicom+json", "application/dicom+xml"})


@dataclass(frozen=True, slots=True)
class Offer:
    """One representation that could be sent.

    `rank` is what it costs the server: 0 for bytes as they are stored, more for more work.
    `stands_in`: may be sent where the client asked for the type's default transfer syntax, because that one cannot
    be had: only a lossy form is held, or the object cannot be expressed in it (PS3.18 §8.7.3).
    """

    media_type: str
    transfer_syntax_uid: str | None = None
    multipart: bool = False
    rank: int = 0
    stands_in: bool = False

    @property
    def part_content_type(self) -> str:
        """Content-Type of the part, or of the whole answer where it is a single part."""
        if self.transfer_syntax_uid is None:
            return self.media_type
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax_uid}"

    def __str__(self) -> str:
        if not self.multipart:
            return self.part_content_type
        syntax = f"; transfer-syntax={self.transfer_syntax_uid}" if self.transfer_syntax_uid else ""
        return f'multipart/related; type="{self.media_type}"{syntax}'


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One member of Accept. `type` and `subtype` are those within multipart/related where `multipart` is set."""

    type: str
    subtype: str
    multipart: bool = False
    transfer_syntax_uid: str | None = None
    weight: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.type}/{self.subtype}"

    @property
    def is_full_wildcard(self) -> bool:
        return self.type == ANY

    @property
    def is_wildcard(self) -> bool:
        return self.subtype == ANY

    @property
    def specificity(self) -> int:
        """Of the ranges that match an offer, the most specific one gives its weight (RFC 9110 §12.5.1)."""
        if self.is_full_wildcard:
            return 1 if self.multipart else 0
        if self.is_wildcard:
            return 2
        return 3 if self.transfer_syntax_uid == ANY else 4 if self.transfer_syntax_uid is None else 5

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one range. Raises ValueError on what is not one; the caller leaves it out."""
        outer = MediaType.parse(text)
        weight = parse_weight(outer.parameters.get("q", "1"))
        syntax = outer.parameters.get("transfer-syntax")
        multipart = outer.type == "multipart" and outer.subtype in ("related", ANY, "")
        inner = outer
        if multipart:
            # Seen in the field: the transfer syntax within the quotes of type=.
            inner = MediaType.parse(outer.parameters.get("type", "*/*"))
            syntax = syntax or inner.parameters.get("transfer-syntax")
        type_name, subtype = inner.type, inner.subtype or ANY
        if type_name == ANY and subtype != ANY:
            raise ValueError("A wildcard type has a wildcard subtype.")
        alias = _ALIASES.get(f"{type_name}/{subtype}")
        if alias is not None:
            type_name, _, subtype = alias.partition("/")
        return cls(type_name, subtype, multipart, syntax, weight)

    def covers(self, offer: Offer, offers: Sequence[Offer]) -> bool:
        """Whether this range, taken alone, means this offer among these."""
        if self.is_full_wildcard:
            # "*/*" takes any form; within multipart/related only multipart.
            if self.multipart and not offer.multipart:
                return False
        elif self.multipart != offer.multipart or not self._names(offer.media_type):
            return False
        if self.weight == 0 and self.transfer_syntax_uid is None:
            return True  # what excludes a type excludes every syntax of it
        return self._takes_syntax(offer, offers)

    def _names(self, media_type: str) -> bool:
        type_name, _, subtype = media_type.partition("/")
        return self.type == type_name and (self.is_wildcard or self.subtype == subtype)

    def _takes_syntax(self, offer: Offer, offers: Sequence[Offer]) -> bool:
        wanted, given = self.transfer_syntax_uid, offer.transfer_syntax_uid
        if given is None:  # not bound to a syntax: metadata, pictures for people, bytes of a bulk value
            return wanted in (None, ANY, EXPLICIT_VR_LE)
        if wanted == ANY or (wanted is None and self.is_wildcard):
            return given not in ONLY_WHEN_NAMED
        if wanted is not None:
            return wanted == given
        default = DEFAULT_SYNTAX.get(offer.media_type)
        if given == default or offer.stands_in:
            return True
        if offer.media_type in _STRICT_DEFAULT:
            return False
        # A JPEG that is stored as baseline is still what "image/jpeg" asks for, where no lossless one is offered.
        return not any(
            other.media_type == offer.media_type and other.transfer_syntax_uid == default for other in offers
        )


@dataclass(frozen=True, slots=True)
class _Choice:
    """An offer and how much the client wants it; the smallest is taken."""

    weight: float
    vagueness: int
    strangeness: int
    cost: int
    position: int
    offer: Offer = field(compare=False)

    @property
    def order(self) -> tuple[float, int, int, int, int]:
        return (-self.weight, self.vagueness, self.strangeness, self.cost, self.position)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a client accepts. `ranges` None: it did not say."""

    ranges: tuple[MediaRange, ...] | None

    @classmethod
    def parse(cls, accept_values: Sequence[str]) -> Self:
        """Read the values of all Accept header lines; members that are not media ranges are left out (§8.7.5)."""
        members = [member for value in accept_values for member in split_unquoted(value, ",")]
        if not members:
            return cls(None)
        ranges: list[MediaRange] = []
        for member in members:
            try:
                ranges.append(MediaRange.parse(member))
            except ValueError:
                continue
        return cls(tuple(ranges))

    @classmethod
    def parse_query(cls, values: Sequence[str]) -> Self:
        """Read `accept=` of the query (§8.3.3.1): whole media types, no wildcards.

        A "+" that was not percent-encoded arrives as a space and is put back.
        """
        acceptance = cls.parse([value.strip().replace(" json", "+json").replace(" xml", "+xml") for value in values])
        if any(media_range.is_wildcard for media_range in acceptance.ranges or ()):
            raise BadRequestError("The accept parameter takes whole media types, no wildcards.", parameter="accept")
        return acceptance

    def refuse_mixture(self, parameter: str) -> None:
        """Raise BadRequestError where DICOM and rendered media types are asked for together (§8.7.5)."""
        ranges = self.ranges or ()
        dicom = any(r.multipart or r.transfer_syntax_uid or r.name in _DICOM_ONLY for r in ranges)
        rendered = any(not r.multipart and r.name in _RENDERED_ONLY for r in ranges)
        if dicom and rendered:
            raise BadRequestError("DICOM and rendered media types cannot be asked for together.", parameter=parameter)

    def choices(self, offers: Sequence[Offer]) -> list[_Choice]:
        """The offers that are acceptable, best first."""
        if self.ranges is None:
            return [_Choice(1.0, 0, 0, 0, position, offer) for position, offer in enumerate(offers)]
        found: list[_Choice] = []
        for position, offer in enumerate(offers):
            covering = [media_range for media_range in self.ranges if media_range.covers(offer, offers)]
            if not covering:
                continue
            deciding = max(covering, key=lambda r: (r.specificity, r.weight))
            if deciding.weight > 0:
                found.append(_weigh(deciding, position, offers))
        found.sort(key=lambda choice: choice.order)
        return found


def _weigh(media_range: MediaRange, position: int, offers: Sequence[Offer]) -> _Choice:
    offer = offers[position]
    if not media_range.is_full_wildcard:
        return _Choice(media_range.weight, int(media_range.is_wildcard), 0, offer.rank, position, offer)
    # A full wildcard means the default of the resource category (§8.7.7), so the order of the offers decides, unless
    # the client takes any transfer syntax. dicomweb-client 0.6x sends multipart/related; type="*/*" without one and
    # decodes whatever comes: for whole objects that is read as "as stored".
    default = next((other for other in offers if other.multipart or not media_range.multipart), offers[0])
    whole_objects = default.media_type == "application/dicom"
    as_stored = media_range.transfer_syntax_uid == ANY or (media_range.multipart and whole_objects)
    strangeness = 0 if as_stored and not whole_objects else int(offer.media_type != default.media_type)
    return _Choice(media_range.weight, 2, strangeness, offer.rank if as_stored else 0, position, offer)


@dataclass(frozen=True, slots=True)
class Negotiation:
    """Accept of one request, ready to be held against any number of instances.

    `from_query` goes before `from_header` (§8.7.8.1). `strict`: a request without Accept is answered 406 (§8.7.5).
    """

    from_query: Acceptance
    from_header: Acceptance
    strict: bool = False

    @classmethod
    def parse(cls, accept_values: Sequence[str], query_accept: Sequence[str] = (), *, strict: bool = False) -> Self:
        """Read both sources. Raises BadRequestError on a mixture, or on a wildcard in the query."""
        from_query, from_header = Acceptance.parse_query(query_accept), Acceptance.parse(accept_values)
        from_query.refuse_mixture("accept")
        from_header.refuse_mixture("Accept")
        return cls(from_query, from_header, strict)

    def choices(self, offers: Sequence[Offer]) -> list[Offer]:
        """The acceptable offers, best first; empty where there is none."""
        if not offers:
            return []
        if self.from_query.ranges is not None:
            asked = self.from_query.choices(offers)
            if asked:
                return [choice.offer for choice in asked]
            if self.from_header.ranges is None:
                return []
        elif self.from_header.ranges is None and self.strict:
            return []
        return [choice.offer for choice in self.from_header.choices(offers)]

    def choose(self, offers: Sequence[Offer]) -> Offer:
        """The best offer. Raises NotAcceptableError that lists all of them."""
        found = self.choices(offers)
        if not found:
            raise NotAcceptableError(tuple(str(offer) for offer in offers))
        return found[0]

    def choose_each(self, offers_of_each: Iterable[Sequence[Offer]]) -> list[Offer | None]:
        """The best offer for each of several instances that travel in one answer (C15).

        All have one media type and one form; the transfer syntax is chosen for each. None where an instance has no
        acceptable form. Raises NotAcceptableError when none has one. The very same offers are looked at once.
        """
        each = list(offers_of_each)
        choices_of = {key: self.choices(offers) for key, offers in {id(offers): offers for offers in each}.items()}
        found = [choices_of[id(offers)] for offers in each]
        coverage: dict[tuple[str, bool], int] = {}
        for choices in found:
            for form in dict.fromkeys(_form(offer) for offer in choices):
                coverage[form] = coverage.get(form, 0) + 1
        if not coverage:
            available = dict.fromkeys(str(offer) for offers in each for offer in offers)
            raise NotAcceptableError(tuple(available))
        form = max(coverage, key=lambda key: coverage[key])  # the first of the most: preference order of the first
        return [next((offer for offer in choices if _form(offer) == form), None) for choices in found]


def _form(offer: Offer) -> tuple[str, bool]:
    return offer.media_type, offer.multipart


def negotiate(
    accept_values: Sequence[str], query_accept: Sequence[str], offers: Sequence[Offer], *, strict: bool = False
) -> Offer:
    """Choose one of the offers; the first is the default of the resource category.

    Raises
    ------
    NotAcceptableError
        None is acceptable; lists what could be sent.
    BadRequestError
        DICOM and rendered types mixed, or a wildcard in the query parameter.
    """
    return Negotiation.parse(accept_values, query_accept, strict=strict).choose(offers)


def negotiate_each(
    accept_values: Sequence[str],
    query_accept: Sequence[str],
    offers_of_each: Iterable[Sequence[Offer]],
    *,
    strict: bool = False,
) -> list[Offer | None]:
    """Choose for each of several instances of one answer; see `Negotiation.choose_each`."""
    return Negotiation.parse(accept_values, query_accept, strict=strict).choose_each(offers_of_each)
