"""The trail as audit messages (PS3.15 A.5, in the form of DICOM's schema), one for each event."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from archive.audit import Action

OPENING = '<?xml version="1.0" encoding="UTF-8"?>\n<AuditMessages>\n'
CLOSING = "</AuditMessages>\n"
SOURCE = "lightbox"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_EVENTS: Mapping[Action, tuple[str, str, str]] = {
    Action.START: ("110100", "Application Activity", "E"),
    Action.STOP: ("110100", "Application Activity", "E"),
    Action.AUDIT_READ: ("110101", "Audit Log Used", "R"),
    Action.VIEW: ("110103", "DICOM Instances Accessed", "R"),
    Action.METADATA: ("110103", "DICOM Instances Accessed", "R"),
    Action.STORE: ("110104", "DICOM Instances Transferred", "C"),
    Action.DOWNLOAD: ("110104", "DICOM Instances Transferred", "R"),
    Action.DELETE: ("110105", "DICOM Study Deleted", "D"),
    Action.RESTORE: ("110103", "DICOM Instances Accessed", "U"),
    Action.EXPORT: ("110106", "Export", "R"),
    Action.IMPORT: ("110107", "Import", "C"),
    Action.SEARCH: ("110112", "Query", "E"),
    Action.SHARE_OPEN: ("110114", "User Authentication", "E"),
    Action.SHARE_STEP: ("110114", "User Authentication", "E"),
    Action.OWNER_OPEN: ("110114", "User Authentication", "E"),
    Action.OWNER_STEP: ("110114", "User Authentication", "E"),
    Action.STAFF_SIGN_IN: ("110114", "User Authentication", "E"),
    Action.SESSION_END: ("110114", "User Authentication", "E"),
}
_OTHERS = ("110113", "Security Alert", "E")
"""Changes of who may do what: PS3.15 A.5.3.11."""
_TYPES: Mapping[Action, tuple[str, str]] = {
    Action.START: ("110120", "Application Start"),
    Action.STOP: ("110121", "Application Stop"),
    Action.SHARE_OPEN: ("110122", "Login"),
    Action.SHARE_STEP: ("110122", "Login"),
    Action.OWNER_OPEN: ("110122", "Login"),
    Action.OWNER_STEP: ("110122", "Login"),
    Action.STAFF_SIGN_IN: ("110122", "Login"),
    Action.SESSION_END: ("110123", "Logout"),
    Action.STAFF_CHANGE: ("110137", "User security Attributes Changed"),
}
_OUTCOMES = {"success": "0", "refused": "4", "failed": "8"}


def audit_message(row: Mapping[Any, Any]) -> str:
    """One event as an AuditMessage element."""
    action = Action(row["action"])
    code, name, verb = _EVENTS.get(action, _OTHERS)
    moment = datetime.fromtimestamp(row["time_ms"] / 1000, UTC).isoformat(timespec="milliseconds")
    typed = _TYPES.get(action, (str(action), str(action)))
    system = "DCM" if action in _TYPES else SOURCE
    outcome = _OUTCOMES[row["outcome"]]
    event = f'EventActionCode="{verb}" EventDateTime="{moment}" EventOutcomeIndicator="{outcome}"'
    parts = [
        f"<EventIdentification {event}>",
        _code("EventID", code, "DCM", name),
        _code("EventTypeCode", typed[0], system, typed[1]),
        "</EventIdentification>",
        _participant(row),
        f'<AuditSourceIdentification AuditSourceID="{SOURCE}"/>',
    ]
    if row["study_uid"]:
        parts.append(_object(row["study_uid"], ("2", "3"), ("110180", "DCM", "Study Instance UID"), row))
    if row["share_id"]:
        parts.append(_object(row["share_id"], ("2", "13"), ("12", "RFC-3881", "URI"), row))
    return f"<AuditMessage>{''.join(parts)}</AuditMessage>"


def _participant(row: Mapping[Any, Any]) -> str:
    network = ""
    if row["address"]:
        network = f' NetworkAccessPointID={_quoted(row["address"])} NetworkAccessPointTypeCode="2"'
    return (
        f'<ActiveParticipant UserID={_quoted(row["who"])} UserIsRequestor="true"{network}>'
        f"{_code('RoleIDCode', row['who_kind'], SOURCE, row['who_kind'])}</ActiveParticipant>"
    )


def _object(uid: str, kind: tuple[str, str], id_type: tuple[str, str, str], row: Mapping[Any, Any]) -> str:
    details = {"count": str(row["count"]), "series": row["series_uid"], **json.loads(row["detail"])}
    told = "".join(
        f"<ParticipantObjectDetail type={_quoted(name)} value={_quoted(_base64(value))}/>"
        for name, value in sorted(details.items())
        if value
    )
    return (
        f'<ParticipantObjectIdentification ParticipantObjectID={_quoted(uid)} ParticipantObjectTypeCode="{kind[0]}"'
        f' ParticipantObjectTypeCodeRole="{kind[1]}">'
        f"{_code('ParticipantObjectIDTypeCode', *id_type)}"
        f"<ParticipantObjectName>{escape(uid)}</ParticipantObjectName>{told}</ParticipantObjectIdentification>"
    )


def _code(element: str, code: str, system: str, text: str) -> str:
    return f"<{element} csd-code={_quoted(code)} codeSystemName={_quoted(system)} originalText={_quoted(text)}/>"


def _quoted(text: str) -> str:
    """The text as an attribute; characters that XML 1.0 cannot hold are shown as what they are: unknown."""
    return quoteattr(_NOT_XML.sub("\ufffd", text))


def _base64(text: str) -> str:
    """Details are base64 by the schema, so nothing in them can be taken for markup."""
    return base64.b64encode(text.encode()).decode()
