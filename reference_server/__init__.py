"""A small LLM inference server with an OpenAI-compatible API: the system that experiments are calibrated on."""
