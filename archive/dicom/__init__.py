"""DICOM files read as bytes: elements, attributes, frames, JSON."""
