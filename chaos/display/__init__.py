"""What a watcher sees while a run goes on; verdicts come from all rows, when it is over."""
