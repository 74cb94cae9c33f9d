"""Video in: one class per kind of input, all giving upright RGB frames with media times."""
