"""The target that hands faults to a real Chaos Mesh, and looks at what becomes of them."""
