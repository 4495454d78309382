"""Where the faces of a frame are, and which of them were there before."""
