"""Real-time fraud decisions for payments."""

import os

# ONNX Runtime reports to its maker, with an identifier that it keeps in the user's
# home. Only this turns all of it off, and only before the runtime is imported: here
# is the one place that every way to it passes.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
