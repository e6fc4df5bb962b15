"""Media: what patients bring on discs comes in, what a share gives away goes out."""
