"""What readers are handed, and what becomes of it."""
