"""Many runs of one experiment: their plan, what they show together, and how two such series, or many, differ."""
