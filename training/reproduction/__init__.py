"""The paper's tables and figures from runs: planned, trained where missing, evaluated, shown."""
