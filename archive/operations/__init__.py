"""What whoever runs the server sees and sets: figures, health, limits."""
