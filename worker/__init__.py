"""maskwatch: a streaming worker that sees who wears a mask, and says so to Redis."""

__version__ = "0.1.0"
