"""What each inference engine and GPU exporter calls the same things: one versioned YAML file per engine."""
