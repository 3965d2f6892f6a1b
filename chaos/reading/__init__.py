"""What a person writes, read strictly: what is not understood is refused with file, key path, value and expectation."""
