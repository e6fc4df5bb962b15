"""OHIF's published build, repacked and served at the root it is opened on."""
