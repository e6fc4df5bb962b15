"""What travels on a medium or in a bundle: the directory of its files."""
