"""The paper's tables and figures, made from runs and shown beside its numbers."""
