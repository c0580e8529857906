"""The admission controller in front of a real server: an OpenAI-compatible reverse proxy."""
