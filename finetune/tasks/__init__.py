"""One object per kind of answer that a network can give."""
