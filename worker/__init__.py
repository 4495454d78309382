"""maskwatch: a streaming worker that sees who wears a mask, and says so to Redis."""

import os

__version__ = "0.1.0"

# onnxruntime (from 1.29) begins to report to its makers when it is imported, so this must come
# before; nothing else in this package acts on import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
