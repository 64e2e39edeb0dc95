"""Two runs side by side: what may be compared, by how much it differs, and what may not and why."""
