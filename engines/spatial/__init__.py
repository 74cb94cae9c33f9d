"""Dry blocks + Scene -> wet block: rooms, convolution, panning, layouts, loudness."""
