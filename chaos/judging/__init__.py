"""What the measurements come to: assertions evaluated, the verdict, the journal."""
