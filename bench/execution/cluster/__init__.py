"""Cases become outcomes on the nodes of a Ray cluster. Schedules nothing itself: Ray does."""
