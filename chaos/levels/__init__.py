"""Load without a fault, at one rate or at several: which rates are tried, and the run of each."""
