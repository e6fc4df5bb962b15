"""STOW-RS: store (PS3.18 §10.5)."""
