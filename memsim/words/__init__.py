"""Vocabulary: the kernel's constants and names, immutable. Nothing here has state."""
