"""QIDO-RS: search (PS3.18 §10.6)."""
