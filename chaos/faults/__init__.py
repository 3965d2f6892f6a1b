"""One fault: whom it may hit, whom it does hit, and the proof that it did."""
