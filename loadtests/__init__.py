"""Open-loop load against any OpenAI-compatible server: the plan, the streaming client, one row per planned arrival."""
