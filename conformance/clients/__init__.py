"""Other people's DICOMweb clients and toolkits, set to real work against any server."""
