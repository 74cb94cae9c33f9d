"""Drawn scenes with exact ground truth: `t_s` in, picture and truth out."""
