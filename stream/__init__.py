"""Time: clocks, threads, tasks, codecs, containers and the wire. No arithmetic on samples here.

Threads of a live server: event loop (sessions, frame loop), `reader` (decode, pacing), `vision` (one frame at a time),
`picture` (JPEG for the page), `audio` (10 ms blocks, real-time priority where allowed).
"""
