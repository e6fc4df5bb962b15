"""Frame bytes to samples, samples to pictures, syntax to syntax, in worker processes."""
