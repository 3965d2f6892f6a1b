"""Whatever dies in mid-fault, the fault is undone or named: lease, reaper, last resorts."""
