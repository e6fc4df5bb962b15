"""What must be readable again but not by whoever steals the database: contacts, seeds, messages that wait.

The key lies in a file of its own beside the database (or where the operator puts it), so a copy of the database alone
gives none of this away. AES-256-GCM; the purpose is bound in, so a value moved to another column does not decrypt.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from archive.errors import StoreError

KEY_BYTES = 32
NONCE_BYTES = 12


class Vault:
    """Encrypts and decrypts short texts, and makes keyed digests of them."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hashlib.sha256(b"encrypt" + key).digest())
        self._digest_key = hashlib.sha256(b"digest" + key).digest()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the vault whose key is in `path`; a new key is made, readable by this user alone, where there is none.

        Raises
        ------
        StoreError
            The file is there and is no key: to go on with another would lose what was encrypted.
        """
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = bytes.fromhex(path.read_text().strip()) if _is_hex(path) else b""
            if len(key) != KEY_BYTES:
                raise StoreError("The key file is damaged; put its backup back.") from None
            return cls(key)
        key = secrets.token_bytes(KEY_BYTES)
        with os.fdopen(handle, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return cls(key)

    def encrypt(self, text: str, purpose: str) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())

    def decrypt(self, data: bytes, purpose: str) -> str:
        """Raises StoreError when the data was not encrypted by this key for this purpose."""
        try:
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError):
            raise StoreError(
                "A value cannot be decrypted: the key file is not the one it was encrypted with."
            ) from None

    def digest(self, text: str, purpose: str) -> bytes:
        """A keyed hash: for codes too short for a bare one, and to find equal contacts without reading them."""
        return hmac.new(self._digest_key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()


def _is_hex(path: Path) -> bool:
    try:
        bytes.fromhex(path.read_text().strip())
    except (ValueError, UnicodeDecodeError):
        return False
    return True
