"""Other names for UIDs and patients, by a key: the same key gives the same names, and without it none leads back."""

import hmac
from dataclasses import dataclass

from pydicom.uid import UID_dictionary


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    key: bytes

    def uid(self, uid: str) -> str:
        """Another UID. What the standard itself named (PS3.6 Annex A: classes, well-known frames) keeps its name."""
        return uid if not uid or uid in UID_dictionary else self.other_uid(uid)

    def other_uid(self, uid: str) -> str:
        """Another UID, below 2.25 (PS3.5 B.2), whatever this one is: for studies, series and instances."""
        return f"2.25.{int.from_bytes(self._hash('uid', uid.encode())[:16], 'big')}"

    def patient_id(self, value: bytes) -> bytes:
        """What stands for the patient, so that the studies of one stay together."""
        return self._hash("patient", value.strip(b"\0 ")).hex()[:16].upper().encode()

    def _hash(self, purpose: str, value: bytes) -> bytes:
        return hmac.digest(self.key, purpose.encode() + b"\0" + value, "sha256")
