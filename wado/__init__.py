"""WADO-RS and WADO-URI: retrieve (PS3.18 §10.4, §9)."""
