"""Programs that measure: percentiles against a named budget and a reference measured in the same run, as JSON and plots.

Run them with `earshot bench CASE`.
"""
