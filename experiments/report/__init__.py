"""A finished run as one HTML file."""
