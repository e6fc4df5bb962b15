"""All cases, in the order in which they are tried and reported."""

from __future__ import annotations

from conformance import (
    cases_accept,
    cases_bulkdata,
    cases_common,
    cases_frame_requests,
    cases_frames,
    cases_metadata,
    cases_qido_keys,
    cases_qido_paging,
    cases_qido_results,
    cases_qido_values,
    cases_rendered,
    cases_rendering,
    cases_stow,
    cases_stow_forms,
    cases_stow_metadata,
    cases_text,
    cases_transport,
    cases_uri,
    cases_wado,
)
from conformance.model import Case, Service

_TABLES = (
    cases_common.CASES,
    cases_transport.CASES,
    cases_accept.CASES,
    cases_stow.CASES,
    cases_stow_forms.CASES,
    cases_stow_metadata.CASES,
    cases_qido_keys.CASES,
    cases_qido_values.CASES,
    cases_qido_results.CASES,
    cases_qido_paging.CASES,
    cases_wado.CASES,
    cases_bulkdata.CASES,
    cases_metadata.CASES,
    cases_text.CASES,
    cases_frames.CASES,
    cases_frame_requests.CASES,
    cases_rendered.CASES,
    cases_rendering.CASES,
    cases_uri.CASES,
)


def all_cases() -> tuple[Case, ...]:
    order = list(Service)
    cases = [case for table in _TABLES for case in table]
    return tuple(sorted(cases, key=lambda case: order.index(case.service)))


def chosen(cases: tuple[Case, ...], only: list[str]) -> tuple[Case, ...]:
    """Keep the cases whose service, section or id begins with (or holds) one of the given words."""
    if not only:
        return cases
    words = [word.lower() for word in only]
    return tuple(
        case
        for case in cases
        if any(
            word in case.service.lower() or case.section.lower().startswith(word) or case.id.lower().startswith(word)
            for word in words
        )
    )
