"""Measurement and patient in, risk estimate with its evidence out."""
