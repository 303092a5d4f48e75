"""What one carrier needs: its profile, its queues, the retry table, and the lane that drives it."""
