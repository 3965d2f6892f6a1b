"""What a run asks of the world around it: series, alerts, counts, the engine, the processor."""
