"""The HTTP side: OpenAI's endpoints, and what becomes of a request until its answer is out."""
