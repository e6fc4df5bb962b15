"""Blobs, saved durably under the SHA-256 of their bytes."""
