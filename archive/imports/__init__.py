"""Imports from a browser: what is listed, chosen, sent in pieces, and taken in (sharing by link, §3.3)."""
