"""Source* -> dry blocks: voices, the names that choose them, and the ambient bed."""
