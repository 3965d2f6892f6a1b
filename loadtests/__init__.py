"""Open-loop load against any OpenAI-compatible server: plan, streaming client, a row per planned arrival."""
