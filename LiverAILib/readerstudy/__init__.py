"""Reader studies: the assisted against the unassisted reading, and what the difference is worth."""
