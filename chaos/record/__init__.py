"""The record of a run as types: the one definition of its journal, read by reports and written by the judge."""
