"""What each command does, from its wishes to its exit code: the only room where workshop and office meet."""
