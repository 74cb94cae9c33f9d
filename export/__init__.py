"""Offline work: what live code only loads. Rooms -> banks of impulse responses."""
