"""The face detector: its network, its data, and how it is fitted, measured and exported."""
