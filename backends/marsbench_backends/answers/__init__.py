"""Asking a policy or a controller, and what becomes of an answer that cannot be carried out."""
