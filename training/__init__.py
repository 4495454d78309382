"""The offline trainer: from annotated pictures to an artifact that the worker runs."""
