"""What a made-up reply says: its text, its tool calls and its structured output."""
