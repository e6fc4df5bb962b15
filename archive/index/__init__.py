"""The index: what is stored, asked by scope and query."""
