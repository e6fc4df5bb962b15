"""How fast a DICOMweb server is: the workloads of a viewer and of a scanner, rates and CPU per request."""
