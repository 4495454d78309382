"""What the worker is worth on still pictures: reading them, measuring, drawing, and a yardstick."""
