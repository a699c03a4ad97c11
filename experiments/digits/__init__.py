"""Handwritten digits, classified photon by photon."""
