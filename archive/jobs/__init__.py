"""Long work on the whole archive."""
