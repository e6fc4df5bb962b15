"""A conformance suite for any DICOMweb server; imports nothing of Lightbox."""
