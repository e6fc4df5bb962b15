"""The archive itself: store, index, ingest, and the application around them."""
