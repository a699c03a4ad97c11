"""Published values beside what this twin computes."""
