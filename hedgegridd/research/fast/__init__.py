"""The fast engine: the heart of one symbol on paper, in numbers that a compiler understands."""
